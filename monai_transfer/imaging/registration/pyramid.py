"""Coarser and finer copies of an image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_transfer.imaging.image import Image


def pyramid(image: Image, *, spacings_mm: Sequence[float]) -> list[Image]:
    """Ever coarser copies, each made from the one before.

    Args:
        image: float32.
        spacings_mm: finest first; an axis that is coarser stays as it is.
    """
    levels = [image]
    for spacing_mm in spacings_mm:
        levels.append(reduced(levels[-1], spacing_mm=spacing_mm))
    return levels[1:]


def reduced(image: Image, *, spacing_mm: float) -> Image:
    """Smooth and thin out along each axis that is finer than so much.

    Every n-th voxel stays, where n is the nearest whole number; the smoothing before has a standard
    deviation of half as many voxels.

    Example:
        >>> thick = Image(np.ones((8, 8, 4), np.float32), np.diag([1.0, 1, 3, 1]))
        >>> coarse = reduced(thick, spacing_mm=4.0)
        >>> coarse.shape, coarse.spacing_mm.tolist()
        ((2, 2, 4), [4.0, 4.0, 3.0])
    """
    transposed, affine = image.voxels.T, image.affine.copy()  # z y x: x is contiguous in files
    for axis, step in enumerate(np.maximum(1, np.round(spacing_mm / image.spacing_mm)).astype(int)):
        if step == 1:
            continue
        first = min((step - 1) // 2, image.shape[axis] - 1)
        smooth = ndimage.gaussian_filter1d(
            transposed, step / 2, axis=2 - axis, truncate=3, mode="nearest"
        )
        transposed = smooth[(slice(None),) * (2 - axis) + (np.s_[first::step],)]
        affine[:3, 3] += first * affine[:3, axis]
        affine[:3, axis] *= step
    return Image(transposed.T, affine)


def refined(image: Image, *, spacing_mm: float) -> Image:
    """Cubic splines between the slices of an image, so that linear interpolation does no harm.

    Between two thick slices linear interpolation blurs, and on a slice it does not: mutual
    information then prefers positions where the slices of both images coincide. What overshoots
    the image's own range is clipped.

    Args:
        image: float32.
        spacing_mm: axes of one and a half times that or more get a whole number of voxels between
            neighbours.

    Example:
        >>> slices = Image(np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.diag([1.0, 1, 3, 1]))
        >>> refined(slices, spacing_mm=1.5).shape
        (2, 2, 3)
    """
    voxels, affine = image.voxels, image.affine.copy()
    for axis, steps in enumerate(
        np.maximum(1, np.round(image.spacing_mm / spacing_mm)).astype(int)
    ):
        size = voxels.shape[axis]
        if steps == 1 or size == 1:
            continue
        zoom = (steps * (size - 1) + 1) / size, 1.0
        weights = ndimage.zoom(np.eye(size, dtype=np.float32), zoom, order=3, mode="mirror")
        voxels = np.moveaxis(np.tensordot(weights, voxels, axes=(1, axis)), 0, axis)
        affine[:3, axis] /= steps
    return Image(np.clip(voxels, image.voxels.min(), image.voxels.max()), affine)


def graded(image: Image, *, grades: int) -> Image:
    """Intensities as 0 … `grades`, float32: the extreme 1 in 1000 voxels at either end are clipped.

    Zeros are left out of the count where they are the majority: the background of a stripped image.
    """
    voxels = image.voxels.astype(np.float32)
    counted = voxels[::2, ::2] if voxels.size > 2**20 else voxels
    if np.count_nonzero(counted) < counted.size / 2:
        counted = counted[counted != 0]
    low, high = np.percentile(counted, [0.1, 99.9]) if counted.size else (0.0, 1.0)
    scale = grades / (high - low) if high > low else 0.0
    scaled: NDArray[np.float32] = np.clip((voxels - np.float32(low)) * np.float32(scale), 0, grades)
    return Image(scaled, image.affine)
