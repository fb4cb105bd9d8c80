"""Differences between runs, paired by test subject, with honest intervals."""

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from monai_transfer.errors import InputError


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Args:
        mean: of `n` values.
        low, high: ends of the interval; NaN for fewer than two values.
        n: number of values.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if math.isnan(self.low):
            return f"{self.mean:+.3f} (one subject)"
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_difference(
    scores: pd.DataFrame, better: str, than: str, *, confidence: float = 0.95
) -> Interval:
    """Mean over subjects of one column minus another, with Student's interval over subjects.

    Repeats of a run with other seeds are averaged before: subjects are what is sampled.

    Args:
        scores: a row for each test subject; a subject without a score in either column is left out.
        better: column whose scores are expected to be higher.
        than: column that is subtracted.
        confidence: of the interval.

    Raises:
        InputError: no subject has both scores.

    Source:
        Ours; the papers give means alone.

    Example:
        >>> scores = pd.DataFrame({"tuned": [0.6, 0.8, 0.7], "scratch": [0.5, 0.6, 0.6]})
        >>> str(paired_difference(scores, "tuned", than="scratch"))
        '+0.133 [-0.010, +0.277]'
    """
    gains = (scores[better] - scores[than]).dropna()
    if gains.empty:
        rule = f"hold a subject with scores of {better} and of {than}"
        raise InputError("study", "table", rule, got="none")
    mean = float(gains.mean())
    if len(gains) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    error = float(stats.sem(gains))
    if error == 0:  # the same of every subject, as where nothing is found: no width
        return Interval(mean, mean, mean, len(gains))
    low, high = stats.t.interval(confidence, len(gains) - 1, mean, error)
    return Interval(mean, float(low), float(high), len(gains))
