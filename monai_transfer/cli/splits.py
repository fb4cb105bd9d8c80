"""How a cohort is split: asked for by options, and told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

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


Seed: TypeAlias = Annotated[int, typer.Option(help="Another seed gives another split.")]
Validation: TypeAlias = Annotated[
    float | None,
    typer.Option(
        parser=patients,
        metavar="PATIENTS",
        help="How many (50), or which share (0.2), choose the epoch; else the manifest's.",
    ),
]
Test: TypeAlias = Annotated[
    float | None,
    typer.Option(
        parser=patients,
        metavar="PATIENTS",
        help="How many, or which share, are kept for the result; likewise.",
    ),
]
Partial: TypeAlias = Annotated[
    bool, typer.Option("--partial", help="A part of the data set: do not compare the counts.")
]


def tell_split(datalist: Mapping[str, Any], path: Path) -> None:
    """Say how many subjects each split of a datalist holds; warn of what is empty."""
    from monai_transfer.data import empty_splits

    for warning in empty_splits(datalist):
        typer.echo(f"warning: {warning}", err=True)
    sizes = (f"{len(datalist[split])} {split}" for split in ("training", "validation", "test"))
    typer.echo(f"{path}: {', '.join(sizes)}")
