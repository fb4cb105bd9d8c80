"""Lesion detection over the cut-offs, as Zoetmulder 2022 draws it."""

import os
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes

from monai_transfer._palette import BLUE, RED
from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import new_figure, save
from monai_transfer.training.pictures.styles import line_styles

_STYLES: Final = ((BLUE, "o", "-"), (RED, "s", "--"))
_KINDS: Final = {26: "lesions in 3D", 8: "lesions of a slice"}
_COUNTS: Final = (
    *("truth_lesions", "detected_lesions", "prediction_lesions", "false_positive_lesions"),
)


def detection_curves(detection: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Draw detected and false lesions over the volume cut-off, a line for each overlap cut-off.

    Args:
        detection: rows as :func:`~monai_transfer.metrics.detection_curve` has them, with
            ``region`` and ``connectivity``; counts are added up over subjects.
        path: the picture.

    Returns:
        The path. Above, the share of all true lesions that are detected; below, false lesions
        for each subject; a column for each region and connectivity.

    Raises:
        InputError: there is no row.

    Source:
        Zoetmulder 2022, figures 3 and 4, the upper row; false lesions are ours.
    """
    if detection.empty:
        raise InputError("detection_curves", "table", "have at least one row")
    columns = list(detection.groupby(["region", "connectivity"], sort=False))
    figure = new_figure(0.6 + 3.2 * len(columns), 5.0, layout="constrained")
    axes = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    for (above, below), ((region, connectivity), part) in zip(axes.T, columns, strict=True):
        above.set_title(f"{region}: {_KINDS.get(connectivity, connectivity)}", fontsize=11)
        _draw(above, below, part)
        below.set_xlabel("volume cut-off, mL")
    axes[0, 0].set_ylim(0, 1.03)
    axes[1, 0].set_ylim(bottom=0)
    axes[0, 0].set_ylabel("share of lesions detected")
    axes[1, 0].set_ylabel("false lesions per subject")
    axes[0, 0].legend(title="overlap above", frameon=False, fontsize=9)
    return save(figure, path)


def _draw(above: Axes, below: Axes, part: pd.DataFrame) -> None:
    subjects = part["subject"].nunique()
    fractions = sorted(set(part["overlap_cutoff_fraction"]))
    for fraction, style in zip(fractions, cycle(_STYLES)):
        rows = part[part["overlap_cutoff_fraction"] == fraction]
        sums = rows.groupby("volume_cutoff_ml")[list(_COUNTS)].sum()
        colour, marker, line = style
        look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
        above.plot(*_share(sums), label=f"{100 * fraction:.0f} %", **look)
        below.plot(sums.index, sums["false_positive_lesions"] / subjects, **look)
    for axis in (above, below):
        axis.grid(visible=True, color="0.92")
        axis.spines[["top", "right"]].set_visible(False)


def detection_by_source(detection: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Draw detected lesions over the volume cut-off, a line for each source.

    Args:
        detection: rows as :func:`detection_curves` takes them, with ``target`` and ``source``;
            lesions of slices (connectivity 8) are drawn. Counts are added up over subjects and
            whatever runs there are.
        path: the picture.

    Returns:
        The path. A row for each overlap cut-off, a column for each target.

    Raises:
        InputError: there is no row of lesions of slices.

    Source:
        Zoetmulder 2022, figures 3 and 4.
    """
    counted = detection[detection["connectivity"] == 8] if len(detection) else detection
    if counted.empty:
        raise InputError("detection_by_source", "table", "have rows of lesions of slices")
    fractions = sorted(counted["overlap_cutoff_fraction"].unique())
    targets, sources = (list(counted[name].unique()) for name in ("target", "source"))
    figure = new_figure(0.8 + 3.4 * len(targets), 0.9 + 2.5 * len(fractions), layout="constrained")
    axes = figure.subplots(len(fractions), len(targets), sharex=True, sharey=True, squeeze=False)
    styles = line_styles(map(str, sources))
    for row, fraction in zip(axes, fractions, strict=True):
        row[0].set_ylabel(f"detected, overlap above {100 * fraction:.0f} %")
        for axis, target in zip(row, targets, strict=True):
            here = (counted["target"] == target) & (counted["overlap_cutoff_fraction"] == fraction)
            for source, rows in counted[here].groupby("source", sort=False):
                sums = rows.groupby("volume_cutoff_ml")[list(_COUNTS)].sum()
                axis.plot(*_share(sums), label=source, markersize=5, **styles[str(source)])
            axis.grid(visible=True, color="0.92")
            axis.spines[["top", "right"]].set_visible(False)
    for axis, target in zip(axes[0], targets, strict=True):
        axis.set_title(target, fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("volume cut-off, mL")
    axes[0, 0].set_ylim(0, 1.03)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return save(figure, path)


def _share(sums: pd.DataFrame) -> tuple["pd.Index[float]", "pd.Series[float]"]:
    """Volume cut-offs, and the share of the true lesions that is detected at each."""
    true = sums["truth_lesions"]
    return sums.index, sums["detected_lesions"] / true.where(true > 0)
