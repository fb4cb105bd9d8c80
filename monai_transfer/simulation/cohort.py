"""Simulated cohorts on disk: parallel, resumable, the same bytes from the same seed."""

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_transfer._terminal import progress_bar
from monai_transfer.errors import InputError
from monai_transfer.simulation.layout import (
    is_whole,
    subject_files,
    subject_folder,
    write_subject,
)
from monai_transfer.simulation.subject import check_request, simulate_subject

REVISION = 10
"""Raised whenever the same seed gives other voxels, so that old cohorts are not mixed with new."""

RECORD = "simulation.json"
_ASIDE = ".partial-"
_STALE_S = 3600.0


def simulate_cohort(
    disease: str,
    output_dir: Path,
    *,
    subjects: int,
    spacing_mm: float = 1.0,
    seed: int = 0,
    workers: int = 1,
    protocol: str | None = None,
    progress: bool = True,
) -> Path:
    """Simulate a cohort into a folder, in the layout of the real data set.

    Subjects that are there are read to their end and kept, so an interrupted call is resumed, and a
    cohort grown, by calling again; one of which a file is missing or broken is made again. Each
    subject is written aside and renamed. The bytes depend on `disease`,
    `spacing_mm`, `seed`, `protocol` and the subject's index alone.

    Args:
        disease: ``ms`` or ``brats``.
        output_dir: the folder; created if needed.
        subjects: how many; at least as many as are there.
        spacing_mm: edge of a voxel.
        seed: of the cohort.
        workers: processes; 1 stays in this one. More need an importable main module, as every
            spawned process does.
        protocol: one for all, by name; ``None`` draws one of the library for each subject.
        progress: whether to show a bar with the time left.

    Returns:
        `output_dir`.

    Raises:
        InputError: for an unknown name, a number out of range, or a folder made otherwise.
    """
    output_dir = Path(output_dir)
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    for what, value, most in (("subjects", subjects, 9999), ("workers", workers, 256)):
        if not 1 <= value <= most:
            raise InputError("simulate", what, f"lie between 1 and {most}", got=value)
    parameters: dict[str, Any] = {
        "disease": disease,
        "spacing_mm": float(spacing_mm),
        "seed": seed,
        "protocol": protocol,
        "revision": REVISION,
    }
    _claim(output_dir, parameters, subjects=subjects)
    _sweep(output_dir)
    folders = [output_dir / subject_folder(disease, i) for i in range(subjects)]
    present = [i for i, folder in enumerate(folders) if folder.is_dir()]
    missing = sorted(set(range(subjects)) - set(present))
    with progress_bar(show=progress) as bar:
        task = bar.add_task(f"Simulating {disease}", total=subjects)
        for i, whole in _checked(output_dir, disease, present, workers=workers):
            if whole:
                bar.advance(task)
                continue
            shutil.rmtree(folders[i], ignore_errors=True)
            missing.append(i)
            if progress:
                bar.print(f"{folders[i].name}: a file is missing or broken. It is made again.")
        for _ in _run(output_dir, parameters, missing, workers=workers):
            bar.advance(task)
    return output_dir


def count_simulated(output_dir: Path, disease: str, *, subjects: int) -> int:
    """How many of the first subjects of a cohort are there.

    Args:
        output_dir: of :func:`simulate_cohort`.
        disease: likewise.
        subjects: likewise.
    """
    folders = (Path(output_dir) / subject_folder(disease, i) for i in range(subjects))
    return sum(folder.is_dir() for folder in folders)


def _claim(output_dir: Path, parameters: dict[str, Any], *, subjects: int) -> None:
    """Record what the folder holds; refuse one that holds something else."""
    record = output_dir / RECORD
    if record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        held = found.pop("subjects", 0)
        if found != parameters:
            other = sorted(k for k in parameters if found.get(k) != parameters[k])
            raise InputError(
                str(record),
                ", ".join(other),
                f"be {', '.join(repr(parameters[k]) for k in other)} as asked for",
                got=", ".join(repr(found.get(k)) for k in other),
                todo="Choose another folder, or remove this one.",
            )
        if held > subjects:
            raise InputError(
                str(record),
                "subjects",
                f"be at most the {subjects} asked for",
                got=held,
                todo="Choose another folder, or ask for as many.",
            )
    elif output_dir.is_dir() and any(output_dir.iterdir()):
        raise InputError(
            str(output_dir),
            "the folder",
            f"be empty or hold a {RECORD}",
            todo="Choose another folder.",
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**parameters, "subjects": subjects}, indent=2) + "\n"
    aside = output_dir / f"{_ASIDE}{RECORD}-{os.getpid()}"
    aside.write_text(text, encoding="utf-8")
    aside.replace(record)


def _sweep(output_dir: Path) -> None:
    """Remove what killed runs left, but nothing that a run beside this one may be writing."""
    for orphan in output_dir.glob(f"{_ASIDE}*"):
        if time.time() - orphan.stat().st_mtime > _STALE_S:
            shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()


def _complete(output_dir: Path, disease: str, index: int) -> bool:
    folder = output_dir / subject_folder(disease, index)
    return all(is_whole(folder / f) for f in subject_files(disease, index).values())


def _checked(
    output_dir: Path, disease: str, present: Sequence[int], *, workers: int
) -> Iterator[tuple[int, bool]]:
    """Each subject that is there, and whether it is complete."""
    pool = ThreadPoolExecutor(workers)
    try:
        found = pool.map(lambda index: _complete(output_dir, disease, index), present)
        yield from zip(present, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _run(
    output_dir: Path, parameters: dict[str, Any], missing: list[int], *, workers: int
) -> Iterator[None]:
    if workers == 1 or len(missing) < 2:
        for index in missing:
            _make(output_dir, parameters, index)
            yield
        return
    context = multiprocessing.get_context("spawn")
    running: set[Future[None]] = set()
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=context) as pool:
        for index in missing:
            with _uninterrupted():  # the first submission starts the processes
                running.add(pool.submit(_make, output_dir, parameters, index))
            # no more than is worked on: what waits in the pool could not be taken back
            while len(running) == workers or (running and index == missing[-1]):
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for job in done:
                    job.result()
                    yield


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes begun inside never see Ctrl-C: they finish the subject they are at."""
    if threading.current_thread() is not threading.main_thread():  # cannot set it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _make(output_dir: Path, parameters: dict[str, Any], index: int) -> None:
    """Simulate and write one subject; rename it into place as the last step."""
    disease = parameters["disease"]
    subject = simulate_subject(
        disease,
        index,
        spacing_mm=parameters["spacing_mm"],
        seed=parameters["seed"],
        protocol=parameters["protocol"],
    )
    final = output_dir / subject_folder(disease, index)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{_ASIDE}{final.name}-", dir=output_dir))
    try:
        aside.chmod(final.parent.stat().st_mode)
        write_subject(subject, aside)
        if final.exists() and not _complete(output_dir, disease, index):
            shutil.rmtree(final)
        try:
            aside.rename(final)
        except OSError:
            if not _complete(output_dir, disease, index):  # else another run was first
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
