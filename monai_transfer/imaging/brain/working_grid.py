"""To the grid that the network looks at, and back: three small matrix products each way."""

from typing import Any, TypeAlias

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform
from numpy.typing import NDArray

from monai_transfer._types import Volume
from monai_transfer.imaging.brain.network import WORKING_MM
from monai_transfer.imaging.image import Image

Weights: TypeAlias = NDArray[np.float32]
"""(to, from), rows that sum to one."""


def normalised(image: Volume) -> Volume:
    """Values over their 99.5th percentile, 0 … 1.5."""
    top = max(float(np.percentile(image, 99.5)), 1e-6)
    scaled: Volume = np.clip(image / np.float32(top), 0.0, 1.5)
    return scaled


def to_working_grid(image: Image) -> Volume:
    """The voxels along the axes nearest to R, A and S, at 3 mm, scaled for the network.

    The axes stay those of the image, so that thick slices stay slices; both grids have one middle.

    Args:
        image: of any orientation and spacing.

    Returns:
        (x, y, z) of the field of view's size.
    """
    ornt = io_orientation(image.affine)
    voxels = apply_orientation(image.voxels, ornt).astype(np.float32)
    spacing = _canonical(image.spacing_mm, ornt)
    for axis, step in enumerate(spacing):
        voxels = _along(averaging(voxels.shape[axis], float(step)), voxels, axis)
    return normalised(voxels)


def from_working_grid(values: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """Values on the working grid, interpolated linearly at the voxels of the image."""
    ornt = io_orientation(image.affine)
    spacing = _canonical(image.spacing_mm, ornt)
    shape = _canonical(np.array(image.shape), ornt)
    for axis, (count, step) in enumerate(zip(shape, spacing, strict=True)):
        values = _along(interpolation(int(count), float(step)), values, axis)
    back = ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), ornt)
    return np.ascontiguousarray(apply_orientation(values, back))


def working_size(count: int, spacing_mm: float) -> int:
    """Voxels of 3 mm that cover a row of voxels."""
    return max(1, int(np.ceil(count * spacing_mm / WORKING_MM - 1e-3)))


def averaging(count: int, spacing_mm: float) -> Weights:
    """Weights that average fine voxels over 3 mm, and interpolate coarse ones."""
    size = working_size(count, spacing_mm)
    centres = _centres(size, WORKING_MM, count, spacing_mm)
    if spacing_mm >= WORKING_MM:
        return _linear(centres, count)
    half = 0.5 * WORKING_MM / spacing_mm
    cells = np.arange(count)
    low = np.maximum(centres[:, None] - half, cells - 0.5)
    high = np.minimum(centres[:, None] + half, cells + 0.5)
    overlap = np.clip(high - low, 0.0, None)
    weights: Weights = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def interpolation(count: int, spacing_mm: float) -> Weights:
    """Weights of the way back: linear between the centres, constant beyond them."""
    size = working_size(count, spacing_mm)
    return _linear(_centres(count, spacing_mm, size, WORKING_MM), size)


def _centres(count: int, spacing_mm: float, of: int, of_mm: float) -> NDArray[np.float64]:
    """Centres of `count` voxels in indices of a row of `of` voxels with the same middle."""
    from_middle_mm = spacing_mm * (np.arange(count, dtype=np.float64) - 0.5 * (count - 1))
    at: NDArray[np.float64] = from_middle_mm / of_mm + 0.5 * (of - 1)
    return at


def _linear(at: NDArray[np.float64], count: int) -> Weights:
    distance = np.abs(np.clip(at, 0, count - 1)[:, None] - np.arange(count))
    weights: Weights = np.clip(1.0 - distance, 0.0, None).astype(np.float32)
    return weights


def _along(weights: Weights, voxels: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.moveaxis(np.tensordot(weights, voxels, axes=(1, axis)), 0, axis)


def _canonical(values: NDArray[Any], ornt: NDArray[Any]) -> NDArray[Any]:
    """Per-axis values in the order R, A, S."""
    ordered = np.empty_like(values)
    ordered[ornt[:, 0].astype(int)] = values
    return ordered
