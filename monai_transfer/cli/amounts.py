"""Numbers of patients, as people type them and as they are told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer


def patients(text: str) -> float:
    """A number of patients (``50``), or their share (``0.2``).

    Raises:
        typer.BadParameter: neither.
    """
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is neither a number of patients nor a share") from None


def tell_split(datalist: Mapping[str, Any], path: Path) -> None:
    """Say how many subjects each split of a datalist holds; warn of shares that came to nobody."""
    from monai_transfer.data import empty_shares

    for warning in empty_shares(datalist):
        typer.echo(f"warning: {warning}", err=True)
    sizes = (f"{len(datalist[split])} {split}" for split in ("training", "validation", "test"))
    typer.echo(f"{path}: {', '.join(sizes)}")
