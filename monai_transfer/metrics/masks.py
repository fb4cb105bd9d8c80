"""Scores of one predicted mask against the true one, empty masks included.

What overlaps and distances are, MONAI says; what lesions are,
:mod:`monai_transfer.metrics.detection`, by its defaults. Where a mask is empty:

===================================  ======  ========  ========
truth                                absent  present   absent
prediction                           absent  absent    present
===================================  ======  ========  ========
dice                                 n/a     0         0
iou                                  n/a     0         0
hd95_mm                              n/a     diagonal  diagonal
sensitivity                          n/a     0         n/a
precision                            n/a     n/a       0
absolute_volume_difference_fraction  n/a     1         n/a
lesion_recall                        n/a     0         n/a
lesion_precision                     n/a     n/a       0
lesion_f1                            n/a     0         0
===================================  ======  ========  ========

``n/a`` is NaN: left out of means, and counted beside them. ``diagonal`` is the diagonal of the
whole image in mm, longer than any distance in it: a missed tumour never scores like a perfect one.
Volumes and their difference in mL are numbers always. Lesions below the volume cut-off are absent
to the lesion scores; where that leaves one of recall and precision undefined and the other is not
0, their F1 is undefined too.

How others do it. MONAI's ``DiceMetric`` (``ignore_empty=True``) leaves out every subject without
truth, false positives included; ``ignore_empty=False`` scores both absent as 1. Its Hausdorff
distance is NaN when a mask is empty, and its means skip NaN, a missed tumour with it. The BraTS
portal scores both absent as Dice 1 and HD95 0, and one absent as Dice 0 and HD95 373.13, the
diagonal of its 240×240×155 mm grid (Isensee 2021, arXiv:2011.00848): ours differs from it only
where both are absent. The WMH Challenge (Kuijf 2019) scores a lesion recall of 1 where there is no
true lesion.
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
from monai_transfer.metrics.detection import detect_lesions
from monai_transfer.metrics.lesions import lesion_overlaps

METRICS: Final = (
    "dice",
    "iou",
    "hd95_mm",
    "sensitivity",
    "precision",
    "truth_volume_ml",
    "prediction_volume_ml",
    "volume_difference_ml",
    "absolute_volume_difference_fraction",
    "lesion_recall",
    "lesion_precision",
    "lesion_f1",
)
"""What can be scored, in the order of the tables.

The volume difference is prediction minus truth; as a fraction it is absolute, and of the truth: the
AVD of the WMH Challenge, which is in percent.
"""

DEFAULT_METRICS: Final = METRICS[:7]
"""What is scored unless others are asked for."""

_MONAI_NAMES: Final = {
    "dice": "f1 score",
    "iou": "threat score",
    "sensitivity": "sensitivity",
    "precision": "precision",
}
_LESION_METRICS: Final = {
    "lesion_recall": "recall",
    "lesion_precision": "precision",
    "lesion_f1": "f1",
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
"""The module's table: (truth present, prediction present) → the first five of :data:`METRICS`.

The others need no exception."""


def named_metrics(metrics: Collection[str], *, where: str = "metrics") -> tuple[str, ...]:
    """Check metrics given by name, as a bundle's JSON does.

    Args:
        metrics: of :data:`METRICS`.
        where: what error messages name.

    Returns:
        The names, in the order given.

    Raises:
        InputError: unknown metric.

    Example:
        >>> named_metrics(["dice", "lesion_f1"])
        ('dice', 'lesion_f1')
    """
    if strange := [metric for metric in metrics if metric not in METRICS]:
        raise choice(where, "metric", strange[0], METRICS)
    return tuple(metrics)


def score_masks(
    prediction: torch.Tensor,
    truth: torch.Tensor,
    *,
    spacing_mm: Sequence[float],
    diagonal_mm: float,
    metrics: Collection[str] = DEFAULT_METRICS,
) -> dict[str, float]:
    """Score one mask.

    Args:
        prediction: predicted mask, boolean, shape (x, y, z); it may be cropped, together with the
            truth, to a box around both.
        truth: true mask, boolean, the same shape.
        spacing_mm: voxel size along x, y and z.
        diagonal_mm: diagonal of the whole image, HD95 where only one mask is empty.
        metrics: those of :data:`METRICS` wanted; HD95 takes most of the time.
            Those of lesions are by the defaults of :mod:`~monai_transfer.metrics.detection`.

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
    metrics = named_metrics(metrics, where="score_masks")
    # MONAI adds the masks, so bytes, not booleans; doubles, or 1/3 would come out rounded
    batch = prediction[None, None].byte(), truth[None, None].byte()
    counts = get_confusion_matrix(*batch).double()[0, 0]
    true_positives, false_positives, _, false_negatives = counts.tolist()
    voxel_ml = math.prod(spacing_mm) / 1000
    true_voxels = true_positives + false_negatives
    more_voxels = false_positives - false_negatives
    known: dict[str, float | Literal["diagonal"]] = {
        "truth_volume_ml": true_voxels * voxel_ml,
        "prediction_volume_ml": (true_positives + false_positives) * voxel_ml,
        "volume_difference_ml": more_voxels * voxel_ml,
        "absolute_volume_difference_fraction": (
            abs(more_voxels) / true_voxels if true_voxels else _NA
        ),
    }
    if not set(_LESION_METRICS).isdisjoint(metrics):
        masks = prediction.cpu().numpy(), truth.cpu().numpy()
        detection = detect_lesions(lesion_overlaps(*masks, spacing_mm=spacing_mm))
        known |= {metric: getattr(detection, name) for metric, name in _LESION_METRICS.items()}
    present = bool(truth.any()), bool(prediction.any())
    if present in EMPTY_MASKS:
        known |= zip(METRICS[:5], EMPTY_MASKS[present], strict=True)

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
