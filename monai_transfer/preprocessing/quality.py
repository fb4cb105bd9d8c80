"""How well a subject came out, in numbers: what a page of many subjects is sorted by."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monai_transfer._types import Mask, Voxels
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.recipe import Preparation
from monai_transfer.imaging.registration import RAS_TO_LPS, SpatialTransform, mni152, resample
from monai_transfer.preprocessing.prepared import Prepared

_BINS = 64


def normalised_mutual_information(one: Voxels, other: Voxels, mask: Mask) -> float:
    """How much two images tell of each other: 1 for nothing, 2 for everything.

    Args:
        one: any contrast.
        other: any contrast, on the same grid.
        mask: voxels that count, at least one.

    Source:
        Studholme 1999, doi:10.1016/S0031-3203(98)00091-0: (H(A) + H(B)) / H(A, B), here of 64
        grades between the 1st and 99th percentile.

    Example:
        >>> ramp = np.arange(1000.0).reshape(10, 10, 10)
        >>> round(normalised_mutual_information(ramp, -ramp, ramp >= 0), 2)
        2.0
    """
    grades = [_graded(np.asarray(image[mask], np.float32)) for image in (one, other)]
    joint = np.bincount(grades[0] * _BINS + grades[1], minlength=_BINS**2)
    table = joint.reshape(_BINS, _BINS) / joint.sum()
    both = _entropy(table)
    apart = _entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1))
    return 1.0 if both == 0 else float(apart / both)


def _graded(values: NDArray[np.float32]) -> NDArray[np.intp]:
    low, high = np.percentile(values, (1, 99))
    step = max(float(high - low), 1e-12) / _BINS
    grades: NDArray[np.intp] = np.clip((values - low) / step, 0, _BINS - 1).astype(np.intp)
    return grades


def _entropy(shares: NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def displacement_mm(transform: SpatialTransform, mask: Image) -> float:
    """How far a registration moves the points of a mask, on average.

    Args:
        transform: fixed → moving.
        mask: in the fixed space, at least one voxel above 0.

    Example:
        >>> from monai_transfer.imaging.registration import LinearTransform
        >>> there = np.eye(4)
        >>> there[:3, 3] = 3, 4, 0
        >>> displacement_mm(LinearTransform(there), Image(np.ones((2, 2, 2)), np.eye(4)))
        5.0
    """
    affine = RAS_TO_LPS @ mask.affine
    points = np.argwhere(mask.voxels > 0) @ affine[:3, :3].T + affine[:3, 3]
    return float(np.linalg.norm(transform.points(points) - points, axis=1).mean())


def scores(prepared: Prepared, plan: Preparation) -> dict[str, float]:
    """Normalised mutual information of every two images that were aligned.

    Args:
        prepared: one subject.
        plan: that it was prepared by.

    Returns:
        ``"t1 to flair"`` → number, in the brain; empty if nothing was aligned.
    """
    inside, fixed = prepared.brain.voxels, prepared.images[prepared.reference]
    if not inside.any():
        return {}
    found = {}
    if plan.registration is not None:
        for name, image in prepared.images.items():
            if name != prepared.reference:
                score = normalised_mutual_information(image.voxels, fixed.voxels, inside)
                found[f"{name} to {prepared.reference}"] = score
    if plan.space == "mni152":
        template = resample(mni152(), prepared.grid).voxels
        score = normalised_mutual_information(fixed.voxels, template, inside)
        found[f"{prepared.reference} to MNI152"] = score
    return found


def relative_scores(cohort: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The lowest of each subject's scores beside the cohort's median of the same pair.

    Pairs of different contrasts cannot be compared with each other; subjects can.

    Args:
        cohort: subject → :func:`scores`.

    Returns:
        Subject → ratio, 1 for a subject like most; 1 where nothing was aligned.

    Source:
        Ours.

    Example:
        >>> cohort = {"a": {"t1 to flair": 1.2}, "b": {"t1 to flair": 1.2}}
        >>> relative_scores(cohort | {"c": {"t1 to flair": 0.6}})
        {'a': 1.0, 'b': 1.0, 'c': 0.5}
    """
    pairs: dict[str, Sequence[float]] = {}
    for found in cohort.values():
        for pair, score in found.items():
            pairs[pair] = [*pairs.get(pair, ()), score]
    usual = {pair: float(np.median(values)) for pair, values in pairs.items()}
    return {
        subject: min((score / usual[pair] for pair, score in found.items()), default=1.0)
        for subject, found in cohort.items()
    }
