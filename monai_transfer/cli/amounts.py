"""Amounts as people type them."""

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
