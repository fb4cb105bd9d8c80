"""Scores of one predicted mask against the true one, empty masks included.

Every number is MONAI's, except where a mask is empty:

=======  ==========  ====  ====  ========  ===========  =========
truth    prediction  dice  iou   hd95_mm   sensitivity  precision
=======  ==========  ====  ====  ========  ===========  =========
absent   absent      n/a   n/a   n/a       n/a          n/a
present  absent      0     0     diagonal  0            n/a
absent   present     0     0     diagonal  n/a          0
=======  ==========  ====  ====  ========  ===========  =========

``n/a`` is NaN: left out of means, and counted beside them. ``diagonal`` is the diagonal of the
whole image in mm, longer than any distance in it: a missed tumour never scores like a perfect one.

How others do it. MONAI's ``DiceMetric`` (``ignore_empty=True``) leaves out every subject without
truth, false positives included; ``ignore_empty=False`` scores both absent as 1. Its Hausdorff
distance is NaN when a mask is empty, and its means skip NaN, a missed tumour with it. The BraTS
portal scores both absent as Dice 1 and HD95 0, and one absent as Dice 0 and HD95 373.13, the
diagonal of its 240×240×155 mm grid (Isensee 2021, arXiv:2011.00848): ours differs from it only
where both are absent.
"""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import torch
from monai.metrics import (
    compute_confusion_matrix_metric,
    compute_hausdorff_distance,
    get_confusion_matrix,
)

from monai_transfer.errors import choice

METRICS: Final = (
    "dice",
    "iou",
    "hd95_mm",
    "sensitivity",
    "precision",
    "truth_volume_ml",
    "prediction_volume_ml",
)
"""What can be scored, in the order of the tables."""

_MONAI_NAMES: Final = {
    "dice": "f1 score",
    "iou": "threat score",
    "sensitivity": "sensitivity",
    "precision": "precision",
}
_NA: Final = math.nan

EMPTY_MASKS: Final[Mapping[tuple[bool, bool], tuple[float | Literal["diagonal"], ...]]] = (
    MappingProxyType(
        {
            (False, False): (_NA, _NA, _NA, _NA, _NA),
            (True, False): (0.0, 0.0, "diagonal", 0.0, _NA),
            (False, True): (0.0, 0.0, "diagonal", _NA, 0.0),
        }
    )
)
"""The module's table: (truth present, prediction present) → the first five of :data:`METRICS`."""


def score_masks(
    prediction: torch.Tensor,
    truth: torch.Tensor,
    *,
    spacing_mm: Sequence[float],
    diagonal_mm: float,
    metrics: Collection[str] = METRICS,
) -> dict[str, float]:
    """Score one mask.

    Args:
        prediction: predicted mask, boolean, shape (x, y, z); it may be cropped, together with the
            truth, to a box around both.
        truth: true mask, boolean, the same shape.
        spacing_mm: voxel size along x, y and z.
        diagonal_mm: diagonal of the whole image, HD95 where only one mask is empty.
        metrics: those of :data:`METRICS` wanted; HD95 takes most of the time.

    Returns:
        Metric → score, in the order wanted; NaN is undefined.

    Raises:
        InputError: unknown metric.

    Source:
        HD95 is the larger of the two directed 95th percentiles (interpolated linearly) of the
        distance from the edge voxels of one mask to those of the other: MONAI's definition.

    Example:
        >>> truth = torch.tensor([[[True, True, False]]])
        >>> prediction = torch.tensor([[[False, True, True]]])
        >>> score_masks(
        ...     prediction,
        ...     truth,
        ...     spacing_mm=(1.0, 1.0, 1.0),
        ...     diagonal_mm=3.3,
        ...     metrics=("dice", "precision"),
        ... )
        {'dice': 0.5, 'precision': 0.5}
    """
    if strange := [metric for metric in metrics if metric not in METRICS]:
        raise choice("score_masks", "metric", strange[0], METRICS)
    # MONAI adds the masks, so bytes, not booleans; doubles, or 1/3 would come out rounded
    batch = prediction[None, None].byte(), truth[None, None].byte()
    counts = get_confusion_matrix(*batch).double()[0, 0]
    true_positives, false_positives, _, false_negatives = counts.tolist()
    voxel_ml = math.prod(spacing_mm) / 1000
    known: dict[str, float | Literal["diagonal"]] = {
        "truth_volume_ml": (true_positives + false_negatives) * voxel_ml,
        "prediction_volume_ml": (true_positives + false_positives) * voxel_ml,
    }
    present = bool(truth.any()), bool(prediction.any())
    known |= zip(METRICS, EMPTY_MASKS.get(present, ()), strict=False)

    def score(metric: str) -> float:
        if metric in known:
            answer = known[metric]
            return diagonal_mm if answer == "diagonal" else answer
        if metric == "hd95_mm":
            return _hd95_mm(*batch, spacing_mm)
        return float(compute_confusion_matrix_metric(_MONAI_NAMES[metric], counts))

    return {metric: score(metric) for metric in metrics}


def _hd95_mm(prediction: torch.Tensor, truth: torch.Tensor, spacing_mm: Sequence[float]) -> float:
    with warnings.catch_warnings():
        # MONAI 1.6 warns of a deprecated argument that it passes to itself
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        return float(
            compute_hausdorff_distance(
                prediction, truth, include_background=True, percentile=95, spacing=list(spacing_mm)
            )
        )
