"""The threshold at which a lesion probability becomes a lesion."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

THRESHOLDS: Final = (*(n / 20 for n in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Probabilities that are tried; closer where a network is sure that was trained on as much lesion
as background, of which a brain has a hundredth."""


def best_threshold(
    probabilities: Sequence[NDArray[Any]], truths: Sequence[NDArray[Any]]
) -> tuple[float, float]:
    """The threshold of the highest mean Dice over subjects.

    Args:
        probabilities: of lesion, one array for each subject.
        truths: the same shapes, true at lesion voxels. A subject without lesion counts as
            :data:`~monai_transfer.metrics.masks.EMPTY_MASKS` says: 0 where a lesion is found in it
            all the same, else not at all.

    Returns:
        Threshold (lesion where the probability is above it) and its mean Dice; 0.5 and NaN when no
        subject has a lesion.

    Source:
        Ghafoorian 2017 chooses it on validation; the grid is ours.

    Example:
        >>> best_threshold([np.array([0.9, 0.3, 0.1])], [np.array([True, True, False])])
        (0.1, 1.0)
    """
    if not any(map(np.any, truths)):
        return 0.5, math.nan
    rows = [
        _dice(np.asarray(p), np.asarray(t, bool))
        for p, t in zip(probabilities, truths, strict=True)
    ]
    means = np.nanmean(rows, axis=0)  # never of n/a alone: one has a lesion
    return THRESHOLDS[int(means.argmax())], float(means.max())


def _dice(probability: NDArray[Any], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice at each threshold, from one count of the voxels between any two; NaN is n/a."""
    between = np.searchsorted(THRESHOLDS, probability.ravel(), side="left")
    counts = np.bincount(between, minlength=len(THRESHOLDS) + 1)
    hits = np.bincount(between[truth.ravel()], minlength=len(THRESHOLDS) + 1)
    above, hits_above = (c[::-1].cumsum()[::-1][1:] for c in (counts, hits))
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * hits_above / (above + truth.sum()))
