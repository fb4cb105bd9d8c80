"""A score over two settings."""

import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from monai_transfer._palette import BLACK
from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import new_figure, save

_COLOURS: Final = "cividis"  # the same to every eye, and in grey
_UNDEFINED: Final = "0.9"
# inches
_CELL: Final = (1.15, 0.7)
_LINE: Final = 0.17
_MARGIN: Final = (2.1, 1.3)


def heatmap(
    scores: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    score: str,
    spread: pd.DataFrame | None = None,
    notes: pd.DataFrame | None = None,
    best: tuple[Any, Any] | None = None,
    title: str = "",
) -> Path:
    """Draw a score as colour and number over two settings.

    Args:
        scores: the score; the names of its index and columns are those of the settings. NaN is an
            empty cell that says n/a.
        path: the picture.
        score: name of the score, beside the colours.
        spread: of each score, written below it as ±, on the same index and columns; ``None`` and
            NaN write nothing.
        notes: text of one or more lines below each number, likewise; ``None`` writes none.
        best: row and column label of the cell to be framed; ``None`` frames none.
        title: above the picture.

    Returns:
        The path.

    Raises:
        InputError: there is no cell.
    """
    if scores.empty:
        raise InputError("heatmap", "table", "have at least one cell")
    rows, columns = scores.shape
    told = [] if notes is None else notes.to_numpy().ravel().tolist()
    height = _CELL[1] + _LINE * max((len(note.splitlines()) for note in told), default=0)
    size = (_MARGIN[0] + _CELL[0] * columns, _MARGIN[1] + height * rows)
    figure = new_figure(*size, layout="constrained")
    axis = figure.subplots()
    colours = colormaps[_COLOURS].with_extremes(bad=_UNDEFINED)
    values = scores.to_numpy(float)
    shown = axis.imshow(np.ma.masked_invalid(values), cmap=colours, aspect="auto")
    inks = _inks(shown.to_rgba(np.ma.masked_invalid(values)))
    for (row, column), value in np.ndenumerate(values):
        apart = math.nan if spread is None else float(spread.iloc[row, column])
        ink = str(inks[row, column])
        note = "" if notes is None else f"\n{notes.iloc[row, column]}"
        line = _written(value, apart) + note.rstrip()
        axis.text(column, row, line, ha="center", va="center", color=ink)
    if best is not None:
        _frame(axis, scores.columns.get_loc(best[1]), scores.index.get_loc(best[0]))
    axis.set_xticks(range(columns), [str(label) for label in scores.columns])
    axis.set_yticks(range(rows), [str(label) for label in scores.index])
    axis.set_xlabel(_plain(scores.columns.name))
    axis.set_ylabel(_plain(scores.index.name))
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_title(title, fontsize=11)
    figure.colorbar(shown, ax=axis, label=_plain(score), fraction=0.05)
    return save(figure, path)


def _written(value: float, apart: float) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:.3f}" if math.isnan(apart) else f"{value:.3f}\n± {apart:.3f}"


def _inks(colours: NDArray[Any]) -> NDArray[Any]:
    """Black or white for each colour, whichever can be read on it."""
    luminance = colours[..., :3] @ np.array([0.299, 0.587, 0.114])
    return np.where(luminance > 0.5, BLACK, "white")


def _frame(axis: Any, column: int, row: int) -> None:
    """A frame inside a cell, dark and light, so that it shows on any colour."""
    for colour, width in (("white", 4.5), ("black", 2.0)):
        place = (column - 0.47, row - 0.46)
        axis.add_patch(Rectangle(place, 0.94, 0.92, fill=False, edgecolor=colour, linewidth=width))


def _plain(name: Any) -> str:
    return "" if name is None else str(name).replace("_", " ")
