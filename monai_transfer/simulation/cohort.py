"""Simulated cohorts on disk: parallel, resumable, the same bytes from the same seed."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from monai_transfer._files import written_aside
from monai_transfer._processes import DiedError, Shared
from monai_transfer._terminal import progress_bar
from monai_transfer.errors import InputError
from monai_transfer.simulation.record import claim, sweep
from monai_transfer.simulation.request import Request
from monai_transfer.simulation.visits import participants_table

PARTICIPANTS = "participants.tsv"
"""Where the cohort of small vessel disease tells the set of each patient."""


def simulate_cohort(
    disease: str,
    output_dir: Path,
    *,
    subjects: int,
    spacing_mm: float = 1.0,
    seed: int = 0,
    workers: int = 1,
    protocol: str | None = None,
    raw: bool = False,
    progress: bool = True,
) -> Path:
    """Simulate a cohort into a folder.

    Prepared subjects lie in the layout of the real data set. Patients with ``wmh`` have a first
    session, and most a second, years later on another scanner; ``participants.tsv`` tells their
    sets, of which each patient is in one. Raw ones are whole heads with oblique
    slices and a pose of their own for each series, named as BIDS does, the label on the FLAIR;
    ``truth`` beside them holds brain masks and the transforms between the series.

    Subjects that are there are read to their end and kept, so an interrupted call is resumed, and a
    cohort grown, by calling again; one of which a file is missing or broken is made again. Each
    subject is written aside and renamed. The bytes depend on `disease`,
    `spacing_mm`, `seed`, `protocol`, `raw` and the subject's index alone.

    Args:
        disease: one of ``DISEASES``.
        output_dir: the folder; created if needed.
        subjects: how many; at least as many as are there.
        spacing_mm: edge of a voxel; of raw scans, the finest.
        seed: of the cohort.
        workers: processes; 1 stays in this one. More need an importable main module, as every
            spawned process does.
        protocol: one for all, by name; ``None`` draws one of the library for each subject, but
            with ``wmh`` takes that of the session.
        raw: whether the subjects are as the scanner gives them, or prepared.
        progress: whether to show a bar with the time left.

    Returns:
        `output_dir`.

    Raises:
        InputError: for an unknown name, a number out of range, a folder made otherwise, or, after
            all other subjects are made, one whose process was killed.
    """
    output_dir = Path(output_dir)
    request = Request(disease, float(spacing_mm), seed, protocol, raw)
    for what, value, most in (("subjects", subjects, 9999), ("workers", workers, 256)):
        if not 1 <= value <= most:
            raise InputError("simulate", what, f"lie between 1 and {most}", got=value)
    claim(output_dir, request, subjects=subjects)
    sweep(output_dir)
    if disease == "wmh":
        table = participants_table({request.folder(i).name: i for i in range(subjects)})
        with written_aside(output_dir / PARTICIPANTS) as aside:
            aside.write_text(table, encoding="utf-8")
    present = [i for i in range(subjects) if (output_dir / request.folder(i)).is_dir()]
    missing = sorted(set(range(subjects)) - set(present))
    with progress_bar(show=progress) as bar:
        task = bar.add_task(f"Simulating {disease}", total=subjects)
        for i, whole in _checked(output_dir, request, present, workers=workers):
            if whole:
                bar.advance(task)
                continue
            folder = output_dir / request.folder(i)
            shutil.rmtree(folder, ignore_errors=True)
            missing.append(i)
            if progress:
                bar.print(f"{folder.name}: a file is missing or broken. It is made again.")
        for _ in _made(output_dir, request, missing, workers=workers):
            bar.advance(task)
    return output_dir


def count_simulated(output_dir: Path, disease: str, *, subjects: int, raw: bool = False) -> int:
    """How many of the first subjects of a cohort are there.

    Args:
        output_dir: of :func:`simulate_cohort`.
        disease: likewise.
        subjects: likewise.
        raw: likewise.
    """
    request = Request(disease, 1.0, 0, None, raw)
    return sum((Path(output_dir) / request.folder(i)).is_dir() for i in range(subjects))


def _checked(
    output_dir: Path, request: Request, present: Sequence[int], *, workers: int
) -> Iterator[tuple[int, bool]]:
    """Each subject that is there, and whether it is complete."""
    pool = ThreadPoolExecutor(workers)
    try:
        found = pool.map(partial(request.is_complete, output_dir), present)
        yield from zip(present, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _made(
    output_dir: Path, request: Request, missing: Sequence[int], *, workers: int
) -> Iterator[int]:
    """Each subject when it is there."""
    died = []
    jobs = Shared(partial(request.make, output_dir), workers=workers)
    for index, result in jobs.results(missing):
        if isinstance(result, DiedError):
            died.append(request.folder(index).name)
        else:
            yield index
    if died:
        raise InputError(
            ", ".join(died),
            "the process",
            "end by itself",
            got="killed, most often for want of memory",
            todo="The same command goes on; fewer --workers need less memory.",
        )
