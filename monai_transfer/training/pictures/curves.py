"""Curves of a run and of a study."""

import math
import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from monai_transfer._palette import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY
from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import new_figure, save
from monai_transfer.training.pictures.styles import line_styles

_LINES: Final = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
_WORDS: Final = {"dice": "Dice", "iou": "IoU", "ssim": "SSIM", "l1": "L1", "auc": "AUC"}
_LOW_DICE: Final = 0.4


def learning_curve(
    history: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    metrics: Sequence[str],
    loss: str = "loss",
) -> Path:
    """Draw training loss and validation metrics over epochs, with the epoch that was kept.

    Args:
        history: a row for each epoch; columns ``epoch``, the loss, and the metrics. A metric is NaN
            at epochs without validation.
        path: the picture.
        metrics: columns to draw; the first chooses the best epoch, the first with its maximum. Of a
            mean over one region the region is not drawn again.
        loss: column of the training loss.

    Returns:
        The path.

    Raises:
        InputError: no epoch, no metric, or a column is missing.
    """
    _check_columns("learning_curve", history, ["epoch", loss, *metrics])
    if not metrics:
        raise InputError("learning_curve", "metrics", "name at least one column")
    others = list(metrics[1:])
    if len(others) == 1 and history[others[0]].equals(history[metrics[0]]):
        others = []
    panels = [[loss], [metrics[0]], *filter(None, [others])]
    figure = new_figure(7.0, 0.6 + 1.9 * len(panels), layout="constrained")
    axes = list(figure.subplots(len(panels), 1, sharex=True))
    for axis, columns in zip(axes, panels, strict=True):
        for column, colour in zip(columns, cycle(_LINES)):
            points = history[["epoch", column]].dropna()
            style = {"marker": "." if len(points) <= 60 else "", "linewidth": 1.3}
            axis.plot(*points.to_numpy().T, color=colour, label=_plain(column), **style)
        _tidy(axis)
    axes[0].set_ylabel(f"training {_plain(loss)}")
    axes[1].set_ylabel(f"validation\n{_plain(metrics[0])}")
    for axis in axes[2:]:
        axis.set_ylabel("validation")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[-1].set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
    _mark_best(axes, history, metrics[0])
    return save(figure, path)


def _mark_best(axes: Sequence[Axes], history: pd.DataFrame, metric: str) -> None:
    scored = history.dropna(subset=[metric])
    if scored.empty:
        return
    epoch, score = scored.loc[scored[metric].idxmax(), ["epoch", metric]]
    for axis in axes:
        axis.axvline(epoch, color="0.5", linewidth=1, linestyle=":")
    axes[1].plot(epoch, score, "o", color=BLACK, markersize=8, fillstyle="none")
    axes[0].set_title(f"best {_plain(metric)} {score:.3f} at epoch {epoch:.0f}", fontsize=11)


def dice_by_region(runs: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Draw Dice over the number of training cases, a panel for each region: Kaur 2019, figure 2.

    Args:
        runs: a row for each run and region, columns ``strategy``, ``cases``, ``region``, ``dice``
            (the run's mean over test subjects). A strategy of 0 cases, such as ``direct``, is a
            level line.
        path: the picture.

    Returns:
        The path. Points are means, bars one sample SD over runs; the axis ends at 1, or below
            where all are low.

    Raises:
        InputError: no run, or a column is missing.
    """
    _check_columns("dice_by_region", runs, ["strategy", "cases", "region", "dice"])
    regions, strategies = list(runs["region"].unique()), list(runs["strategy"].unique())
    entry = 0.6 + 0.085 * max(map(len, strategies))  # inches that a name takes in the legend
    width = max(3.2 * len(regions) + 0.5, 2 * entry)
    ncols = max(1, int(width / entry))
    rows = math.ceil(len(strategies) / ncols)
    figure = new_figure(width, 3.5 + 0.2 * rows, layout="constrained")
    styles = line_styles(strategies)
    axes = figure.subplots(1, len(regions), sharey=True, squeeze=False)[0]
    for axis, region in zip(axes, regions, strict=True):
        for index, strategy in enumerate(strategies):
            chosen = (runs["region"] == region) & (runs["strategy"] == strategy)
            shift = 1.025 ** (index - (len(strategies) - 1) / 2)  # bars beside each other
            _draw_strategy(axis, runs[chosen], strategy, style=styles[strategy], shift=shift)
        axis.set_title(region)
        axis.set_xlabel("training cases")
        _scale_cases(axis, sorted({int(n) for n in runs["cases"] if n > 0}))
        _tidy(axis)
    axes[0].set_ylim(0, 1 if runs["dice"].max() > _LOW_DICE else None)  # of all, they share it
    axes[0].set_ylabel("Dice, mean ± SD over runs")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=ncols, frameon=False)
    return save(figure, path)


def _draw_strategy(
    axis: Axes,
    runs: pd.DataFrame,
    strategy: str,
    *,
    style: Mapping[str, Any],
    shift: float,
) -> None:
    level = {key: value for key, value in style.items() if key != "marker"}
    untrained = runs[runs["cases"] == 0]["dice"]
    if len(untrained):
        axis.axhline(untrained.mean(), linewidth=1.2, label=strategy, **level)
    trained = runs[runs["cases"] > 0].groupby("cases")["dice"].agg(["mean", "std"])
    if len(trained):
        axis.errorbar(
            trained.index * shift,
            trained["mean"],
            yerr=trained["std"].fillna(0),
            markersize=5,
            capsize=2.5,
            label=strategy,
            **style,
        )


def _scale_cases(axis: Axes, cases: Sequence[int]) -> None:
    """A log scale with a tick at each number of cases."""
    axis.set_xscale("log")
    axis.set_xlim(cases[0] / 1.25, cases[-1] * 1.25)
    axis.xaxis.set_major_locator(FixedLocator(cases))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([str(n) for n in cases])


def _check_columns(where: str, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    if missing := [column for column in columns if column not in frame]:
        raise InputError(where, "columns", f"include {', '.join(columns)}", got=f"no {missing[0]}")
    if frame.empty:
        raise InputError(where, "table", "have at least one row")


def _tidy(axis: Axes) -> None:
    axis.grid(visible=True, color="0.92")
    axis.spines[["top", "right"]].set_visible(False)


def _plain(name: str) -> str:
    return " ".join(_WORDS.get(word, word) for word in name.split("_"))
