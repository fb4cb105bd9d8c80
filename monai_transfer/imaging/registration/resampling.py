"""An image on another grid."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_transfer._types import Affine
from monai_transfer.errors import choice
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.transform import (
    IDENTITY,
    RAS_TO_LPS,
    LinearTransform,
    SpatialTransform,
)

_Plane: TypeAlias = NDArray[np.float32]
_Sampler: TypeAlias = Callable[[list[_Plane]], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels are, without the voxels.

    Args:
        shape: voxels along each axis.
        affine: voxel index → world mm, RAS+.

    Example:
        >>> Grid((4, 5, 6), np.eye(4)).shape
        (4, 5, 6)
    """

    shape: tuple[int, int, int]
    affine: Affine


def resample(
    moving: Image,
    grid: Grid | Image,
    *,
    transform: SpatialTransform = IDENTITY,
    interpolation: str = "linear",
    outside: float = 0.0,
) -> Image:
    """The moving image on the fixed image's grid.

    Args:
        moving: any number type.
        grid: the fixed image, or only its grid.
        transform: fixed → moving. With its inverse and the moving image's grid, a prediction on
            the fixed grid goes back to the moving one.
        interpolation: ``linear``; ``nearest`` for masks and label maps; ``bspline``, cubic, which
            keeps edges sharper and overshoots beside them.
        outside: value of voxels more than half a voxel outside the moving image.

    Returns:
        An image on the grid; of the moving image's type for ``nearest``, else float32.

    Raises:
        InputError: an unknown interpolation.

    Example:
        >>> ramp = Image(np.arange(4.0).reshape(4, 1, 1) + np.zeros((1, 2, 2)), np.eye(4))
        >>> half = np.diag([0.5, 1, 1, 1])
        >>> resample(ramp, Grid((6, 2, 2), half)).voxels[:, 0, 0]
        array([0. , 0.5, 1. , 1.5, 2. , 2.5], dtype=float32)
    """
    if interpolation not in INTERPOLATIONS:
        raise choice("resample", "interpolation", interpolation, INTERPOLATIONS)
    if interpolation != "nearest":
        moving = moving.with_voxels(moving.voxels.astype(np.float32, copy=False))
    sample = INTERPOLATIONS[interpolation](moving.voxels)
    voxels = np.full(grid.shape, outside, moving.voxels.dtype, order="F")
    for plane, index in zip(voxels.T, _planes(moving, grid, transform), strict=True):
        inside = np.ones(plane.shape, bool)
        for coordinate, size in zip(index, moving.shape, strict=True):
            inside &= np.abs(coordinate - (size - 1) / 2) <= size / 2
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        if rows.size:
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            np.copyto(plane[box], sample([each[box] for each in index]), where=inside[box])
    return Image(voxels, grid.affine)


def _planes(
    moving: Image, grid: Grid | Image, transform: SpatialTransform
) -> Iterator[list[_Plane]]:
    """For each z of the grid, moving voxel indices x, y and z of its voxels, each (y, x)."""
    into_moving = np.linalg.inv(RAS_TO_LPS @ moving.affine)
    matrix = RAS_TO_LPS @ grid.affine
    if linear := isinstance(transform, LinearTransform):
        matrix = into_moving @ transform.matrix @ matrix
    x, y = (np.arange(size) for size in grid.shape[:2])
    for z in range(grid.shape[2]):
        parts = [(row[1] * y + (row[2] * z + row[3]), row[0] * x) for row in matrix[:3]]
        if linear:  # sums in single precision, as the samplers take them
            yield [np.add.outer(*(part.astype(np.float32) for part in pair)) for pair in parts]
        else:
            points = np.stack([np.add.outer(*pair).ravel() for pair in parts], axis=-1)
            index = transform.points(points) @ into_moving[:3, :3].T + into_moving[:3, 3]
            yield [each.reshape(y.size, x.size).astype(np.float32) for each in index.T]


def _nearest(voxels: NDArray[Any]) -> _Sampler:
    return lambda index: voxels[
        tuple(_rounded(c, n) for c, n in zip(index, voxels.shape, strict=True))
    ]


def _rounded(coordinate: _Plane, size: int) -> NDArray[np.intp]:
    rounded: NDArray[np.intp] = np.clip(np.floor(coordinate + 0.5), 0, size - 1).astype(np.intp)
    return rounded


def _bspline(voxels: NDArray[Any]) -> _Sampler:
    coefficients = ndimage.spline_filter(voxels, order=3, output=np.float32, mode="mirror")

    def sample(index: list[_Plane]) -> NDArray[Any]:
        values: _Plane = ndimage.map_coordinates(
            coefficients, index, order=3, output=np.float32, mode="mirror", prefilter=False
        )
        return values

    return sample


def _linear(voxels: NDArray[Any]) -> _Sampler:
    """Trilinear interpolation by eight gathers, each from a run of memory that is shared."""
    whole = np.asfortranarray(voxels)
    whole = np.pad(whole, [(0, max(0, 2 - size)) for size in whole.shape], mode="edge")
    flat = whole.ravel(order="F")
    strides = (1, whole.shape[0], whole.shape[0] * whole.shape[1])

    def sample(index: list[_Plane]) -> NDArray[Any]:
        first = np.zeros(index[0].shape, np.intp)
        fractions = []
        for coordinate, size, stride in zip(index, whole.shape, strides, strict=True):
            clipped = np.clip(coordinate, 0, size - 1)
            below = np.minimum(clipped.astype(np.intp), size - 2)
            fractions.append(clipped - below.astype(np.float32))
            first += below * stride
        return _lerp(flat, first, strides, fractions)

    return sample


def _lerp(
    flat: _Plane, first: NDArray[np.intp], strides: tuple[int, ...], fractions: list[_Plane]
) -> _Plane:
    """Interpolate along the last axis between what is interpolated along the others."""
    if not strides:
        values: _Plane = flat.take(first, mode="wrap")  # in range: wrap only spares the check
        return values
    below = _lerp(flat, first, strides[:-1], fractions[:-1])
    above = _lerp(flat[strides[-1] :], first, strides[:-1], fractions[:-1])
    above -= below
    above *= fractions[-1]
    below += above
    return below


INTERPOLATIONS: Mapping[str, Callable[[NDArray[Any]], _Sampler]] = MappingProxyType(
    {"linear": _linear, "nearest": _nearest, "bspline": _bspline}
)
"""Ways to find values between voxels, by name."""
