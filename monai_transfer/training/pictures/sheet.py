"""A black sheet of slices, all at one scale, with headings and a legend."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from monai_transfer.training.pictures.canvas import colours_of, new_figure
from monai_transfer.training.pictures.subject import EDGES_OF, View, background_of

INK: Final = "white"
# inches
_WIDTH: Final = 8.4
_GAP: Final = 0.06
_LINE: Final = 0.3
_NEXT_LINE: Final = 0.18  # a line more of the same text
_LETTER: Final = 0.0075  # by point of the font's size, on the average
_SWATCH: Final = 0.6  # a legend's patch and what is around it
_CENTRED: Final[dict[str, Any]] = {"color": INK, "ha": "center", "va": "center", "fontsize": 10}


@dataclass(frozen=True)
class Sheet:
    """A figure and its places for slices.

    Args:
        figure: the figure, titles and legend included.
        axes: a place for each row and column.
    """

    figure: Figure
    axes: tuple[tuple[Axes, ...], ...]


def new_sheet(
    columns: Mapping[str, float],
    rows: Sequence[str],
    *,
    height_mm: float,
    labels: Mapping[int, str],
    title: str = "",
    headings_above: bool = False,
) -> Sheet:
    """Lay out a sheet whose panels share one scale.

    Args:
        columns: heading → width in mm.
        rows: headings.
        height_mm: of every row.
        labels: label value → name, for the legend.
        title: above everything; empty leaves no room for it.
        headings_above: row headings stand above their row, not upright beside it.
    """
    title = _broken(title, fontsize=12)
    rows = [_broken(row, fontsize=10) for row in rows] if headings_above else rows
    left, above = (_GAP, _height(rows)) if headings_above else (_LINE, _GAP)
    inch_per_mm = (_WIDTH - left - _GAP * len(columns)) / sum(columns.values())
    titled = _height([title]) if title else 0.0
    top = _LINE + titled
    row_height = above + height_mm * inch_per_mm
    legend_rows, legend_columns = _legend_shape(list(labels.values()))
    height = top + row_height * len(rows) + 1.2 * _LINE + (legend_rows - 1) * _NEXT_LINE
    figure = new_figure(_WIDTH, height, facecolor="black")

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / _WIDTH, 1 - y / height, text, **(_CENTRED | style))

    if title:
        write(_WIDTH / 2, titled / 2, title, fontsize=12)
    axes: list[tuple[Axes, ...]] = []
    for row, heading in enumerate(rows):
        x, y = left, top + row * row_height + above
        bottom = y + height_mm * inch_per_mm
        if headings_above:
            write(_WIDTH / 2, y - above / 2, heading)
        else:
            write(left / 2, (y + bottom) / 2, heading, rotation=90)
        line = []
        for column, width_mm in columns.items():
            width = width_mm * inch_per_mm
            if row == 0:
                write(x + width / 2, top - _LINE / 2, column, weight="bold")
            box = (x / _WIDTH, 1 - bottom / height, width / _WIDTH, (bottom - y) / height)
            line.append(_place(figure.add_axes(box), width_mm, height_mm))
            x += width + _GAP
        axes.append(tuple(line))
    if labels:
        _legend(figure, labels, columns=legend_columns)
    return Sheet(figure, tuple(axes))


def draw_slice(
    axis: Axes,
    image: NDArray[Any],
    view: View,
    *,
    label_map: NDArray[Any] | None,
    labels: Mapping[int, str],
    fill: float,
) -> None:
    """Draw one slice in grey, its labels under a veil of their colour, and outlined.

    Args:
        axis: a place of a sheet; the slice comes in its middle.
        image: intensities, shape (x, y, z).
        view: the slice.
        label_map: labels on the same grid; ``None`` draws the image alone.
        labels: label value → name.
        fill: share of the colour in the veil, 0 for outlines alone.
    """
    low, high = grey(image)
    shown = view.cut(image)
    level = np.clip((shown - low) / (high - low), 0, 1) * (shown != background_of(image))
    picture = np.repeat(level[..., None], 3, axis=2)
    colours = colours_of(labels.values())
    cut = np.zeros_like(level) if label_map is None else view.cut(label_map)
    masks = {name: cut == value for value, name in labels.items() if (cut == value).any()}
    for name, mask in masks.items():
        picture[mask] = (1 - fill) * picture[mask] + fill * np.asarray(to_rgb(colours[name]))
    x_mm, y_mm = (side_mm / 2 for side_mm in view.size_mm)
    place: dict[str, Any] = {"origin": "lower", "extent": (-x_mm, x_mm, -y_mm, y_mm)}
    axis.imshow(picture, interpolation="bilinear", aspect="auto", **place)
    # the widest first: where oedema surrounds a core, the line between them is the core's
    for name, mask in sorted(masks.items(), key=lambda item: -_spread(item[1])):
        axis.contour(mask, levels=[0.5], colors=[colours[name]], linewidths=0.9, **place)


def mark_sides(axis: Axes, view: View) -> None:
    """Write which side of the patient lies on the left and on the right edge of a slice."""
    for x, letter, side in zip((0.01, 0.99), EDGES_OF[view.plane], ("left", "right"), strict=True):
        style = _CENTRED | {"color": "0.75", "fontsize": 9, "ha": side, "va": "bottom"}
        axis.text(x, 0.02, letter, transform=axis.transAxes, **style)


def grey(image: NDArray[Any]) -> tuple[float, float]:
    """Intensities shown as black and as white.

    Black is the background, or the darkest 0.5 % inside the head where that is darker still; white
    is the brightest 0.5 %.

    Example:
        >>> grey(np.pad(np.full((4, 4, 4), 7.0), 2))
        (0.0, 7.0)
    """
    sample, background = image[::2, ::2, ::2], background_of(image)
    inside = sample[sample != background]
    low, high = np.percentile(inside, [0.5, 99.5]) if inside.size else (background, background)
    low = min(float(low), background)
    return low, max(float(high), low + 1e-6)


def _spread(mask: NDArray[np.bool_]) -> int:
    """Area of the bounding box, in pixels."""
    rows, columns = np.nonzero(mask)
    return int(np.ptp(rows) + 1) * int(np.ptp(columns) + 1)


def _place(axis: Axes, width_mm: float, height_mm: float) -> Axes:
    """A black place measured in mm from its middle."""
    axis.set_facecolor("black")
    axis.set_xlim(-width_mm / 2, width_mm / 2)
    axis.set_ylim(-height_mm / 2, height_mm / 2)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    return axis


def _broken(text: str, *, fontsize: float) -> str:
    """The text in lines that the sheet is wide enough for."""
    return textwrap.fill(text, width=int(_WIDTH / (_LETTER * fontsize)))


def _height(texts: Sequence[str]) -> float:
    """Inches that the one with most lines takes."""
    return _LINE + _NEXT_LINE * max((text.count("\n") for text in texts), default=0)


def _legend_shape(names: Sequence[str]) -> tuple[int, int]:
    """Rows and columns of a legend that the sheet is wide enough for.

    Example:
        >>> _legend_shape(["core", "oedema"]), _legend_shape(["x" * 25] * 7)
        ((1, 2), (3, 3))
    """
    if not names:
        return 1, 1
    widest = _SWATCH + 10 * _LETTER * max(map(len, names))
    rows = -(-len(names) // max(1, int(_WIDTH / widest)))
    return rows, -(-len(names) // rows)


def _legend(figure: Figure, labels: Mapping[int, str], *, columns: int) -> None:
    handles = [Patch(color=c, label=name) for name, c in colours_of(labels.values()).items()]
    style = {"frameon": False, "labelcolor": INK, "fontsize": 10, "borderaxespad": 0.2}
    figure.legend(handles=handles, loc="lower center", ncols=columns, labelspacing=0.3, **style)
