"""Where every run prints, so that progress and tables do not tear each other."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console()
"""The one console."""


def progress_bar(*, on: Console = console, show: bool = True) -> Progress:
    """A bar with the count, the time and the time left; it goes away at its end.

    Args:
        on: where it is drawn.
        show: whether it is.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=on,
        disable=not show,
        transient=True,
    )
