"""The subject × metric table of a run: made, written, read, summarised, printed.

One row for each subject and region; columns ``subject``, ``group`` (HGG, LGG, a site; may be
empty), ``region``, then one column for each metric. A score that is undefined is NaN in the frame
and ``n/a`` in the file; means leave it out, and its count stands beside them.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError

KEYS: Final = ("subject", "group", "region")
UNDEFINED: Final = "n/a"
_HEADINGS: Final = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95_mm": "HD95 mm",
    "sensitivity": "Sensitivity",
    "precision": "Precision",
    "absolute_volume_difference_fraction": "AVD",
    "lesion_recall": "Lesion\nrecall",
    "lesion_precision": "Lesion\nprecision",
    "lesion_f1": "Lesion\nF1",
    "f1": "F1",
    "auc": "AUC",
    "ssim": "SSIM",
    "psnr_db": "PSNR dB",
    "l1": "L1",
}
_FIRST: Final = (
    *("dice", "hd95_mm", "absolute_volume_difference_fraction"),
    *("lesion_recall", "lesion_precision", "lesion_f1"),
    *("sensitivity", "precision", "iou", "f1", "auc"),
    *("ssim", "psnr_db", "l1"),
)
_FIT: Final = 6
"""Metrics that are printed at most: those that come first in ``_FIRST``, which are the WMH
Challenge's (Kuijf 2019) and lesion precision where all are there. A seventh is too wide."""


def metrics_frame(
    scores: Mapping[str, Mapping[tuple[str, str], float]],
    *,
    groups: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Arrange the scores of many subjects as a table.

    Args:
        scores: subject → (region, metric) → score; the values are what
            :func:`~monai_transfer.metrics.regions.score_regions` returns.
        groups: subject → group; ``None`` leaves the column empty.

    Returns:
        One row for each subject and region, in the order given.

    Raises:
        InputError: there is no subject, or a subject has no group.

    Example:
        >>> frame = metrics_frame({"sub-01": {("lesion", "dice"): 0.5}}, groups={"sub-01": "MS"})
        >>> frame.to_dict("records")
        [{'subject': 'sub-01', 'group': 'MS', 'region': 'lesion', 'dice': 0.5}]
    """
    if not scores:
        raise InputError("metrics table", "scores", "hold at least one subject")
    if groups is not None and (missing := [s for s in scores if s not in groups]):
        raise InputError(missing[0], "groups", "name every subject", got="none for it")
    rows: dict[tuple[str, str], dict[str, str | float]] = {}
    for subject, subject_scores in scores.items():
        group = "" if groups is None else groups[subject]
        for (region, metric), score in subject_scores.items():
            key = {"subject": subject, "group": group, "region": region}
            rows.setdefault((subject, region), {**key})[metric] = score
    return pd.DataFrame(list(rows.values()))


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table aside and rename it, so that the file is never half there.

    Args:
        frame: a table of :func:`metrics_frame`.
        path: the CSV file; its folder is made.

    Returns:
        The path.
    """
    target = Path(path)
    with written_aside(target) as aside:
        frame.to_csv(aside, index=False, na_rep=UNDEFINED, lineterminator="\n")
    return target


def read_csv(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what :func:`write_csv` wrote: the same numbers to the last bit, names as text.

    Args:
        path: the CSV file.

    Returns:
        The table; ``n/a`` is NaN, a subject called ``001`` or ``NA`` keeps its name.

    Raises:
        InputError: a column is missing, or a score is not a number.
    """
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    if missing := [key for key in KEYS if key not in text]:
        raise InputError(str(path), "columns", f"include {', '.join(KEYS)}", got=f"no {missing[0]}")
    for metric in text.columns.difference(KEYS):
        text[metric] = [_number(cell, f"{path}: {metric}") for cell in text[metric]]
    return text


def _number(cell: str, where: str) -> float:
    if cell == UNDEFINED:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        rule = f"be a number or {UNDEFINED}"
        raise InputError(where, "score", rule, got=repr(cell)) from None


def summary(frame: pd.DataFrame, *, by: Sequence[str] = ("region",)) -> pd.DataFrame:
    """Mean and spread of every metric.

    Args:
        frame: a table of :func:`metrics_frame`.
        by: what to keep apart: ``("region",)``, or ``("group", "region")``.

    Returns:
        One row for each combination and metric, in order of appearance: the columns of `by`,
        ``metric``, ``mean``, ``sd`` (over subjects, n − 1; NaN for one subject), ``n`` (subjects
        with a defined score), ``undefined`` (subjects without).

    Example:
        >>> dice = {"a": 0.5, "b": 0.7, "c": math.nan}
        >>> frame = metrics_frame({s: {("core", "dice"): score} for s, score in dice.items()})
        >>> summary(frame).round(3).to_dict("records")
        [{'region': 'core', 'metric': 'dice', 'mean': 0.6, 'sd': 0.141, 'n': 2, 'undefined': 1}]
    """
    rows = []
    for names, part in frame.groupby(list(by), sort=False):
        for metric in frame.columns.drop(list(KEYS)):
            defined = part[metric].dropna()
            rows.append(
                dict(zip(by, names, strict=True))
                | {"metric": metric, "mean": defined.mean(), "sd": defined.std(ddof=1)}
                | {"n": len(defined), "undefined": len(part) - len(defined)}
            )
    return pd.DataFrame(rows)


def format_summary(frame: pd.DataFrame, *, title: str = "") -> Table:
    """The table printed at the end of a run: means of the metrics by region, with the SD of Dice.

    Args:
        frame: a table of :func:`metrics_frame`; metrics that it lacks have no column, and a line
            below names those that have no room.
        title: before the number of subjects.

    Returns:
        A table of at most 80 characters, for ``rich.print``.
    """
    rows = summary(frame)
    printed = [metric for metric in _FIRST if metric in frame][:_FIT]
    metrics = [metric for metric in _HEADINGS if metric in printed]
    spread = " (Dice ± SD)" if "dice" in frame else ""
    subjects = f"{frame['subject'].nunique()} subjects, mean{spread}"
    table = Table(title=f"{title}: {subjects}" if title else subjects)
    table.add_column("Region")
    for metric in metrics:
        table.add_column(_HEADINGS[metric], justify="right")
    for region, part in rows.groupby("region", sort=False):
        by_metric = part.set_index("metric")
        table.add_row(str(region), *(_cell(metric, by_metric.loc[metric]) for metric in metrics))
    no_room = [name for name in _HEADINGS if name in frame and name not in printed]
    more = f"Also scored: {', '.join(no_room)}" if no_room else None
    table.caption = "\n".join(filter(None, (_diagonals(frame), more))) or None
    return table


def _diagonals(frame: pd.DataFrame) -> str | None:
    """Where HD95 is no distance between two surfaces, see :mod:`~monai_transfer.metrics.masks`."""
    volumes = ["truth_volume_ml", "prediction_volume_ml"]
    if not {"hd95_mm", *volumes} <= set(frame):
        return None
    one_sided = frame[(frame[volumes] > 0).sum(axis=1) == 1]
    counts = one_sided.groupby("region", sort=False).size()
    if counts.empty:
        return None
    listed = ", ".join(f"{region} {count}" for region, count in counts.items())
    return f"HD95 is the image's diagonal where only truth or prediction is empty: {listed}"


def _cell(metric: str, row: "pd.Series[float]") -> str:
    """Mean, for Dice its SD, and on a second line how many subjects had no defined score."""
    if row["n"] == 0:
        return f"{UNDEFINED} ({row['undefined']:.0f})"
    digits = 1 if metric in ("hd95_mm", "psnr_db") else 3
    text = f"{row['mean']:.{digits}f}"
    if metric == "dice" and row["n"] > 1:
        text += f" ± {row['sd']:.{digits}f}"
    return f"{text}\n({row['undefined']:.0f} {UNDEFINED})" if row["undefined"] else text


def best_median_worst(frame: pd.DataFrame, *, metric: str = "dice") -> dict[str, str]:
    """The subjects worth a look: by the mean of a metric over their regions.

    Args:
        frame: a table of :func:`metrics_frame`.
        metric: a column in which more is better.

    Returns:
        ``best``, ``median``, ``worst`` → subject. Two subjects have no median, one is only best; of
        an even number the better of the middle two is the median. Subjects without any defined
        score are left out.

    Example:
        >>> scores = {s: {("core", "dice"): d} for s, d in {"a": 0.2, "b": 0.9, "c": 0.5}.items()}
        >>> best_median_worst(metrics_frame(scores))
        {'best': 'b', 'median': 'c', 'worst': 'a'}
    """
    means = frame.groupby("subject", sort=False)[metric].mean().dropna()
    ranked = [str(s) for s in means.sort_values(ascending=False, kind="stable").index]
    if len(ranked) < 3:
        return dict(zip(("best", "worst")[: len(ranked)], ranked, strict=True))
    return {"best": ranked[0], "median": ranked[(len(ranked) - 1) // 2], "worst": ranked[-1]}
