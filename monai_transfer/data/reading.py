"""Files measured once: what is known of a file is used again for as long as it is the same file."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from monai_transfer.data.measured import Measured, measure
from monai_transfer.data.record_cache import Record, RecordCache

SETTLED_S = 3.0
"""How old a change must be to be told from the next by its time; the coarsest clocks count 2 s."""


class Reading(NamedTuple):
    """What is known of a file.

    Args:
        measured: what the rules look at.
        changed: whether it is another than when it was last read.
        identity: by which it is known again; empty where the next time it must be read.
    """

    measured: Measured
    changed: bool = False
    identity: str = ""


class Reader:
    """Measures the files of a data folder.

    A measurement is used again while device, inode, size, and the times of the last change of the
    content (mtime) and of the file (ctime, which no program can set back) are those of the file
    that was read. A file that was changed in the last seconds, or while it was read, or in the
    future, is read again the next time; so is a file that cannot be used.

    Args:
        root: the folder.
        cache: of measurements; ``None`` reads every file.
    """

    def __init__(self, root: Path, cache: RecordCache | None = None) -> None:
        self.root, self.cache = root, cache

    def read(self, file: str, *, is_label: bool) -> Reading:
        """Measure a file of the folder, or take what is known of it.

        Args:
            file: relative path.
            is_label: see :func:`~monai_transfer.data.measured.measure`.
        """
        path = self.root / file
        now = identity(path)
        if self.cache is None or not now:
            return Reading(measure(path, is_label=is_label))
        known = self.cache.get(file, is_label=is_label)
        if known is not None and known.identity == now:
            return Reading(Measured.from_json(known.measured), identity=now)
        started = time.time()
        measured = measure(path, is_label=is_label)
        before = known.content if known else ""
        settled = identity(path) == now and _ctime(path) < started - SETTLED_S
        keep = settled and measured.damage is None  # what was good stays known while it is damaged
        if keep:
            record = Record(file, is_label, now, measured.content, measured.to_json())
            self.cache.put(record)
        changed = bool(before) and measured.content not in ("", before)
        return Reading(measured, changed, now if keep else "")


def identity(path: str | os.PathLike[str]) -> str:
    """What the file system knows of a file; empty where it cannot tell one from its successor."""
    if os.name != "posix":  # ctime is the time of creation
        return ""
    try:
        found = os.stat(path)  # noqa: PTH116 - of ten thousands of files
    except (OSError, ValueError):
        return ""
    parts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return ":".join(map(str, parts))


def _ctime(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except OSError:
        return float("inf")
