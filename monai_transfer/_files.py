"""Files that are either whole or not there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ASIDE = re.compile(r"\.aside\.\d+\..+")


@contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place beside a file to write it to; at the end it is flushed to disk and renamed.

    When the body raises, or the machine stops, the file is what it was before.

    Args:
        path: the file; its folder is made.

    Yields:
        The place, with the same suffix: some writers take their format from it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with written_aside(folder / "table.csv") as aside:
        ...     _ = aside.write_text("whole")
        >>> [path.name for path in folder.iterdir()]
        ['table.csv']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".aside.{os.getpid()}.{target.name}")
    try:
        yield aside
        _flush(aside)
        aside.replace(target)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _flush(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def remove_orphans(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove what writers that were killed left aside.

    Args:
        folder: looked through with all folders below it; nobody else may be writing there.

    Returns:
        The files that were removed.
    """
    orphans = [path for path in Path(folder).rglob(".aside.*") if _ASIDE.fullmatch(path.name)]
    for path in orphans:
        path.unlink(missing_ok=True)
    return orphans


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
