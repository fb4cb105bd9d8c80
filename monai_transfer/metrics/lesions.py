"""The lesions of a mask, and what those of two masks share.

A lesion is a connected component: voxels that share a face, an edge or a corner (26-connected), or
those of one axial slice that share an edge or a corner (8-connected, as Zoetmulder 2022 has it).
What two masks share is counted once for all their lesions, in the joint histogram of their
component numbers; which lesions are found is :mod:`monai_transfer.metrics.detection`'s to say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cc3d
import numpy as np
from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.metrics.grids import check_shapes, check_spacing

CONNECTIVITIES: Final = (26, 8)
"""Neighbours of a voxel: in 3D, or in its axial slice."""


def lesions(mask: NDArray[Any], *, connectivity: int = 26) -> NDArray[np.uint32]:
    """Number the lesions of a mask.

    Args:
        mask: shape (x, y, z), not 0 in lesions. Axial slices lie along z: bring the image to RAS+
            axes before lesions are told apart by slice.
        connectivity: one of :data:`CONNECTIVITIES`.

    Returns:
        The same shape, 1 to n in the n lesions and 0 elsewhere.

    Raises:
        InputError: another shape than (x, y, z), or an unknown connectivity.

    Example:
        >>> mask = np.array([[[1, 0, 1, 1]], [[0, 1, 0, 0]]])
        >>> [int(lesions(mask, connectivity=neighbours).max()) for neighbours in (26, 8)]
        [1, 4]
    """
    present = np.asarray(mask) != 0
    if present.ndim != 3:
        raise InputError("lesions", "mask", "have the shape (x, y, z)", got=present.shape)
    if connectivity not in CONNECTIVITIES:
        options = " or ".join(map(str, CONNECTIVITIES))
        raise InputError("lesions", "connectivity", f"be {options}", got=connectivity)
    if connectivity == 8:  # only equal values connect, and neighbouring slices get different ones
        present = present * (1 + np.arange(present.shape[2], dtype=np.uint8) % 2)
    return np.asarray(cc3d.connected_components(present, connectivity=26), np.uint32)


def lesion_volumes_ml(numbered: NDArray[np.uint32], spacing_mm: Sequence[float]) -> NDArray[Any]:
    """Volume of every lesion.

    Args:
        numbered: what :func:`lesions` returns.
        spacing_mm: voxel size along x, y and z.

    Returns:
        mL, shape (lesions,), in the order of their numbers.

    Raises:
        InputError: a spacing that is not three numbers above 0.

    Example:
        >>> numbered = lesions(np.array([[[1, 1, 0, 1]]]))
        >>> lesion_volumes_ml(numbered, (1.0, 1.0, 5.0)).tolist()
        [0.01, 0.005]
    """
    check_spacing(spacing_mm, "lesion_volumes_ml")
    return _voxels(numbered) * (math.prod(spacing_mm) / 1000)


def _voxels(numbered: NDArray[np.uint32]) -> NDArray[np.intp]:
    return np.bincount(numbered[numbered > 0])[1:]


@dataclass(frozen=True)
class LesionOverlaps:
    """The lesions of two masks, and what they share: all that the scores of a subject need.

    Attributes:
        truth_voxels: of each true lesion, shape (true lesions,).
        prediction_voxels: of each predicted lesion, shape (predicted lesions,).
        pairs: index of a true and of a predicted lesion that share a voxel, shape (2, pairs).
        shared_voxels: of each pair, shape (pairs,).
        voxel_ml: volume of a voxel.
    """

    truth_voxels: NDArray[np.intp]
    prediction_voxels: NDArray[np.intp]
    pairs: NDArray[np.intp]
    shared_voxels: NDArray[np.intp]
    voxel_ml: float


def lesion_overlaps(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    spacing_mm: Sequence[float],
    connectivity: int = 26,
    subject: str = "lesion_overlaps",
) -> LesionOverlaps:
    """Count the lesions of a subject, and the voxels that every two of them share.

    Args:
        prediction: predicted mask, shape (x, y, z), not 0 in lesions; it may be cropped, together
            with the truth, to a box around both.
        truth: true mask, the same shape.
        spacing_mm: voxel size along x, y and z.
        connectivity: see :func:`lesions`.
        subject: whom error messages name.

    Returns:
        The counts; they are small, so that those of a whole cohort can be kept.

    Raises:
        InputError: other shapes than (x, y, z), different grids, a spacing that is not three
            numbers above 0, an unknown connectivity.

    Example:
        >>> truth, prediction = np.array([[[1, 1, 0, 1]]]), np.array([[[0, 1, 1, 1]]])
        >>> overlaps = lesion_overlaps(prediction, truth, spacing_mm=(1.0, 1.0, 1.0))
        >>> overlaps.truth_voxels.tolist(), overlaps.prediction_voxels.tolist()
        ([2, 1], [3])
        >>> overlaps.pairs.tolist(), overlaps.shared_voxels.tolist()
        ([[0, 1], [0, 0]], [1, 1])
    """
    check_shapes(np.shape(prediction), np.shape(truth), subject)
    check_spacing(spacing_mm, subject)
    true, predicted = (lesions(mask, connectivity=connectivity) for mask in (truth, prediction))
    truth_voxels, prediction_voxels = _voxels(true), _voxels(predicted)
    both = (true > 0) & (predicted > 0)
    # one number for each pair; counted where it occurs, as noise has far more pairs than voxels
    joint = (true[both] - 1) * np.intp(prediction_voxels.size) + (predicted[both] - 1)
    occurring, shared_voxels = np.unique(joint, return_counts=True)
    pairs = np.stack(np.divmod(occurring, max(prediction_voxels.size, 1)))
    voxel_ml = math.prod(spacing_mm) / 1000
    return LesionOverlaps(truth_voxels, prediction_voxels, pairs, shared_voxels, voxel_ml)
