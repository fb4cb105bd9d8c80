"""Folders that are either whole or not there, and digests of what is in them."""

import hashlib
import json
import os
import shutil
from pathlib import Path

_ASIDE = ".aside."


def digest(*contents: object) -> str:
    """SHA-256 of values that JSON can hold."""
    text = json.dumps(contents, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its files in the order of their names."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        return digest([[file.name, file_digest(file)] for file in files])
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def put_in_place(aside: Path, final: Path) -> None:
    """Rename a finished folder; what was there before goes only then.

    Args:
        aside: everything in it is flushed to disk first.
        final: where it is to be.
    """
    for path in [*aside.rglob("*"), aside]:
        _flush(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    old = aside.with_name(f"{aside.name}.old")
    if final.exists():
        final.rename(old)
    aside.rename(final)
    _flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


def aside_of(output: Path, subject: str) -> Path:
    """A folder, new and empty, to write a subject into."""
    aside = output / f"{_ASIDE}{os.getpid()}.{subject}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    return aside


def remove(folder: Path) -> None:
    """Remove a subject's folder, so that it is never seen half gone."""
    if folder.exists():
        gone = folder.with_name(f"{_ASIDE}{os.getpid()}.{folder.name}")
        folder.rename(gone)
        shutil.rmtree(gone)


def remove_asides(output: Path) -> None:
    """Remove what a run that was killed left; no other run may be writing."""
    for orphan in [*output.rglob(f"{_ASIDE}*")]:
        if orphan.is_dir():
            shutil.rmtree(orphan, ignore_errors=True)  # it may lie in one that is gone already
        else:
            orphan.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if os.name != "posix" and path.is_dir():  # elsewhere a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
