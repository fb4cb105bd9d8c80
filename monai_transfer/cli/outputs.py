"""Files that verbs write: what is there is replaced on demand only."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from monai_transfer.errors import InputError

Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that are there.")
]


def require_new(*outputs: Path | None, overwrite: bool) -> None:
    """Refuse to overwrite; before any work begins.

    Args:
        outputs: files to write; ``None`` for one that is not asked for.
        overwrite: write them all the same.

    Raises:
        InputError: some are there, naming them.
    """
    there = [str(path) for path in outputs if path is not None and path.exists()]
    if there and not overwrite:
        todo = "Name another file, or add --overwrite."
        raise InputError(", ".join(there), "output", "not be there yet", todo=todo)
