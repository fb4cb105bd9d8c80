"""Colours of labels, and how a figure reaches the disk."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_transfer._files import written_aside
from monai_transfer._palette import BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW

_ON_BLACK: Final = (RED, SKY, YELLOW, PURPLE, GREEN, ORANGE, BLUE)

LABEL_COLOURS: Final = {"core": RED, "oedema": GREEN, "enhancing": YELLOW, "lesion": RED}
"""Colours of labels by name: Kaur 2019, figure 3, in this palette's red, green and yellow."""


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each label name: its own, or the next free one.

    Example:
        >>> colours_of(["core", "cyst"])
        {'core': '#D55E00', 'cyst': '#56B4E9'}
    """
    names = list(names)
    colours = {name: LABEL_COLOURS[name] for name in names if name in LABEL_COLOURS}
    free = [c for c in _ON_BLACK if c not in colours.values()] or list(_ON_BLACK)
    strangers = [name for name in names if name not in colours]
    colours |= {name: free[i % len(free)] for i, name in enumerate(strangers)}
    return {name: colours[name] for name in names}


def new_figure(width: float, height: float, **settings: Any) -> Figure:
    """An empty figure of its own, outside pyplot, in inches."""
    figure = Figure(figsize=(width, height), dpi=120, **settings)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure aside and rename it, so that the file is never half there.

    Args:
        figure: what was drawn.
        path: the file; its suffix (png, pdf, svg) is the format, and its folder is made.

    Returns:
        The path.
    """
    target = Path(path)
    with written_aside(target) as aside:
        figure.savefig(aside, format=target.suffix.lstrip(".") or "png")
    return target
