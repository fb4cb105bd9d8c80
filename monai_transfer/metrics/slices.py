"""Dice and mean IoU by axial slice, beside those of whole volumes.

Zoetmulder 2022 (section 4.4) computes both 'per axial slice and averaged over the entire test set'.
Most slices of a scan have no lesion, and what a slice scores that is empty in truth and prediction
is not stated. It decides the mean: counted as 1, a network that marks nothing scores the share of
slices without lesion. Both conventions are therefore computed:

- ``skip``: such a slice has no score and is left out, as a subject is in
  :mod:`monai_transfer.metrics.masks`;
- ``one``: it scores 1.

A slice that is empty in one of the two scores 0 in both. With several regions the rule holds for
each region of a slice, and a slice scores the mean of its regions.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.metrics.grids import check_shapes
from monai_transfer.metrics.regions import Regions, check_labels, named_regions, region_masks

EMPTY_SLICES: Final = ("skip", "one")
"""What a slice scores that is empty in truth and prediction, see the module."""


@dataclass(frozen=True)
class SliceCounts:
    """Voxels of each region in each axial slice of a subject, arrays of shape (regions, z).

    Attributes:
        shared: in truth and prediction.
        truth: in the truth.
        prediction: in the prediction.
    """

    shared: NDArray[np.intp]
    truth: NDArray[np.intp]
    prediction: NDArray[np.intp]


def slice_counts(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    regions: str | Regions,
    *,
    subject: str = "slice_counts",
) -> SliceCounts:
    """Count the voxels that the scores of a subject's slices need.

    Args:
        prediction: predicted label map, shape (x, y, z); its slices are axial on RAS+ axes.
        truth: label map of the same grid.
        regions: as in :func:`~monai_transfer.metrics.regions.named_regions`; the classes of a
            multi-class segmentation are a region each, the background none.
        subject: whom error messages name.

    Returns:
        The counts; they are small, so that those of a whole cohort can be kept.

    Raises:
        InputError: other shapes than (x, y, z), different grids, a label in no region.

    Example:
        >>> truth, prediction = np.array([[[1, 1, 0, 0]]]), np.array([[[1, 0, 1, 0]]])
        >>> slice_counts(prediction, truth, "ms").shared.tolist()
        [[1, 0, 0, 0]]
    """
    values = named_regions(regions)
    check_shapes(np.shape(prediction), np.shape(truth), subject)
    for what, labels in (("prediction", prediction), ("truth", truth)):
        check_labels(labels, values, f"{subject}: {what}")
    masks = region_masks(prediction, values), region_masks(truth, values)
    predicted, true, shared = (m.sum(axis=(1, 2)) for m in (*masks, masks[0] & masks[1]))
    return SliceCounts(shared, true, predicted)


def slice_summary(subjects: Collection[SliceCounts]) -> pd.DataFrame:
    """Mean Dice and mean IoU over the slices of a cohort, and over its subjects in 3D.

    Args:
        subjects: what :func:`slice_counts` returns of each, of the same regions.

    Returns:
        A row for each ``metric`` (``dice``, ``iou``), ``unit`` (``slice``: all slices of all
        subjects weigh the same; ``subject``: its volume as a whole) and ``empty`` convention, with
        the ``mean``, NaN where nothing is defined, and ``n``, how many units it is over.

    Raises:
        InputError: there is no subject.

    Source:
        By slice: Zoetmulder 2022, section 4.4; the empty conventions and the scores in 3D: ours.

    Example:
        >>> truth, prediction = np.array([[[1, 1, 0, 0]]]), np.array([[[1, 0, 1, 0]]])
        >>> summary = slice_summary([slice_counts(prediction, truth, "ms")])
        >>> summary[summary["metric"] == "dice"].round(3)
          metric     unit empty   mean  n
        0   dice    slice  skip  0.333  3
        1   dice    slice   one  0.500  4
        2   dice  subject  skip  0.500  1
        3   dice  subject   one  0.500  1
    """
    if not subjects:
        raise InputError("slice_summary", "subjects", "hold at least one")
    rows = []
    for metric, score in (("dice", _dice), ("iou", _iou)):
        scores = {
            "slice": np.concatenate([score(s.shared, s.truth, s.prediction) for s in subjects], 1),
            "subject": np.stack(
                [score(s.shared.sum(1), s.truth.sum(1), s.prediction.sum(1)) for s in subjects], 1
            ),
        }
        for unit, by_region in scores.items():
            for empty in EMPTY_SLICES:
                frame = pd.DataFrame(by_region)  # its means leave NaN out
                means = (frame.fillna(1.0) if empty == "one" else frame).mean(axis=0)
                key = {"metric": metric, "unit": unit, "empty": empty}
                rows.append(key | {"mean": means.mean(), "n": int(means.count())})
    return pd.DataFrame(rows)


def _dice(shared: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):  # 0 of 0 is NaN
        return np.asarray(2 * shared / (truth + prediction))


def _iou(shared: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        return np.asarray(shared / (truth + prediction - shared))
