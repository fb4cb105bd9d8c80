"""What a cohort's folder says it holds, so that two cohorts are never mixed."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError
from monai_transfer.simulation.request import ASIDE, Request
from monai_transfer.simulation.visits import manifests_of

REVISION = 12
"""Raised whenever the same seed gives other voxels, so that old cohorts are not mixed with new."""

RECORD = "simulation.json"
_STALE_S = 3600.0


def claim(output_dir: Path, request: Request, *, subjects: int) -> None:
    """Record what a folder holds, and make it if needed.

    Raises:
        InputError: a folder that holds something else, or more subjects.
    """
    record = output_dir / RECORD
    asked: dict[str, Any] = {**asdict(request), "revision": REVISION}
    if record.exists():
        _check(record, asked, subjects=subjects)
    elif output_dir.is_dir() and any(output_dir.iterdir()):
        raise InputError(
            str(output_dir),
            "the folder",
            f"be empty or hold a {RECORD}",
            todo="Choose another folder.",
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asked, "subjects": subjects}, indent=2) + "\n"
    with written_aside(record) as aside:
        aside.write_text(text, encoding="utf-8")


def _check(record: Path, asked: dict[str, Any], *, subjects: int) -> None:
    """Refuse a folder that was made otherwise."""
    found = {"raw": False} | json.loads(record.read_text(encoding="utf-8"))
    held = found.pop("subjects", 0)
    other = sorted(k for k in asked.keys() | found.keys() if found.get(k) != asked.get(k))
    if other:
        raise InputError(
            str(record),
            ", ".join(other),
            f"be {', '.join(repr(asked.get(k)) for k in other)} as asked for",
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


def sweep(output_dir: Path) -> None:
    """Remove what killed runs left, but nothing that a run beside this one may be writing."""
    for orphan in output_dir.glob(f"{ASIDE}*"):
        if time.time() - orphan.stat().st_mtime > _STALE_S:
            shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()


def keep_record(simulated: Path, prepared: Path, *, by: str) -> None:
    """Say in a folder of prepared images that they were simulated, if they were.

    Args:
        simulated: folder of the raw subjects, perhaps real ones.
        prepared: folder of what was made of them.
        by: recipe.
    """
    if (simulated / RECORD).is_file():
        record = json.loads((simulated / RECORD).read_text(encoding="utf-8"))
        with written_aside(prepared / RECORD) as aside:
            aside.write_text(json.dumps({**record, "prepared_by": by}, indent=2) + "\n")


@contextmanager
def manifests_named(folder: Path, manifest: str) -> Iterator[None]:
    """Within it, what does not fit a simulated folder is answered with the manifests that do.

    Args:
        folder: of the data, perhaps real ones.
        manifest: name of the one that it is read by.

    Raises:
        InputError: the one raised within it; with these names, if a record says that the folder was
            simulated.
    """
    try:
        yield
    except InputError as error:
        names = _described_by(folder)
        if not names or manifest in names:
            raise
        todo = f"The folder was simulated; it is described by {', '.join(names)}. {error.todo}"
        raise InputError(error.where, error.what, error.rule, got=error.got, todo=todo) from error


def _described_by(folder: Path) -> list[str]:
    """Manifests of a folder, by its record; none without one."""
    if not (folder / RECORD).is_file():
        return []
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    if "prepared_by" in record:
        return [(folder / "manifest.json").as_posix()]
    return manifests_of(record["disease"], raw=record.get("raw", False))
