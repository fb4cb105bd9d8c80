"""Mutual information of two images under a linear map, with its gradient."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from monai_transfer._types import Points
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.transform import RAS_TO_LPS

GRADES = 31
"""Intensities run from 0 to this: 32 bins."""

_MARGIN = 2  # bins beyond either end that a cubic spline reaches into
_COLUMNS = GRADES + 2 * _MARGIN + 1
_CHUNK = 16384  # samples whose intermediate arrays fit into a core's cache

_Array: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Samples:
    """Points of the fixed image.

    Args:
        points_mm: (n, 3), LPS.
        grades: (n,), 0 … :data:`GRADES`.
    """

    points_mm: Points
    grades: NDArray[np.intp]


class _Part(NamedTuple):
    """Some samples as mapped: bins of the joint histogram, place within, slopes, weights."""

    points: _Array
    cells: NDArray[np.intp]
    within: _Array
    slopes: _Array
    weights: _Array


class MutualInformation:
    """How much the moving image tells about the fixed one, in nats.

    The fixed image's intensities fall into one bin each, the moving image's over four by a cubic
    spline, so that the value has a gradient. The moving image is interpolated linearly; the weight
    of a sample falls from 1 to 0 within a voxel outside it.

    Args:
        samples: of the fixed image.
        moving: float32, 0 … :data:`GRADES`.

    Source:
        Mattes 2003, all samples at every step. The soft weight is ours.
    """

    def __init__(self, samples: Samples, moving: Image) -> None:
        self._centre = samples.points_mm.mean(axis=0)
        self._points = (samples.points_mm - self._centre).astype(np.float32)
        self._rows = samples.grades * _COLUMNS
        self._into_moving = np.linalg.inv(RAS_TO_LPS @ moving.affine)
        doubled = [(0, size == 1) for size in moving.shape]  # so that a voxel has a neighbour
        voxels = np.pad(moving.voxels + np.float32(_MARGIN), doubled, mode="edge")
        self._shape = voxels.shape
        self._strides = 1, voxels.shape[0], voxels.shape[0] * voxels.shape[1]
        self._flat = voxels.ravel(order="F")

    def __call__(self, matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
        """Value, its gradient (3, 4) by the first rows of the matrix, and the share of overlap.

        Args:
            matrix: 4×4, fixed → moving, LPS mm.
        """
        index = self._into_moving @ matrix
        index[:3, 3] += index[:3, :3] @ self._centre
        histogram = np.zeros((GRADES + 1) * _COLUMNS)
        parts = []
        for start in range(0, len(self._points), _CHUNK):
            chunk = np.s_[start : start + _CHUNK]
            values, slopes, weights = self._sample(self._points[chunk], index.astype(np.float32))
            bins = values.astype(np.intp)
            cells = self._rows[chunk] + bins
            within = values - bins.astype(np.float32)
            for shift, share in enumerate(_spline(within), -1):
                histogram += np.bincount(cells + shift, share * weights, histogram.size)
            parts.append(_Part(self._points[chunk], cells, within, slopes, weights))
        total = histogram.sum()
        if total == 0:
            return 0.0, np.zeros((3, 4)), 0.0
        value, told = _information((histogram / total).reshape(-1, _COLUMNS))
        inner = sum((_pull(part, told) for part in parts), np.zeros((3, 4))) / total
        inner[:, :3] += np.outer(inner[:, 3], self._centre)
        return value, self._into_moving[:3, :3].T @ inner, float(total / len(self._points))

    def _sample(self, points: _Array, index: _Array) -> tuple[_Array, _Array, _Array]:
        """Moving intensities at mapped points, their slopes (3, n) per voxel, and weights."""
        first = np.zeros(len(points), np.intp)
        weights = np.ones(len(points), np.float32)
        fractions = []
        for row, size, stride in zip(index[:3], self._shape, self._strides, strict=True):
            place = points @ row[:3] + row[3]
            weights *= np.clip(np.minimum(place, size - 1 - place) + 1, 0, 1)
            place = np.clip(place, 0, size - 1)
            below = np.minimum(place.astype(np.intp), size - 2)
            fractions.append(place - below.astype(np.float32))
            first += below * stride
        values, slopes = self._trilinear(first, fractions)
        return values, slopes, weights

    def _trilinear(self, first: NDArray[np.intp], fractions: list[_Array]) -> tuple[_Array, _Array]:
        _, y, z = self._strides
        along_x, along_y, along_z = fractions
        lines = []  # along x, beside the point: below and above it in y and z
        for corner in (0, y, z, y + z):
            start = self._flat[corner:].take(first, mode="wrap")  # in range: spares the check
            rise = self._flat[corner + 1 :].take(first, mode="wrap") - start
            lines.append((start + along_x * rise, rise))
        faces = []  # below and above it in z
        for (low, low_x), (high, high_x) in (lines[:2], lines[2:]):
            rise = high - low
            faces.append((low + along_y * rise, low_x + along_y * (high_x - low_x), rise))
        (low, *low_slopes), (high, *high_slopes) = faces
        slopes = [a + along_z * (b - a) for a, b in zip(low_slopes, high_slopes, strict=True)]
        return low + along_z * (high - low), np.stack([*slopes, high - low])


def _spline(t: _Array) -> tuple[_Array, ...]:
    """A cubic B-spline's four values at distances 1 + t, t, 1 − t, 2 − t."""
    squared, cubed = t * t, t * t * t
    return (
        (1 - t) ** 3 / 6,
        (3 * cubed - 6 * squared + 4) / 6,
        (3 * (t + squared - cubed) + 1) / 6,
        cubed / 6,
    )


def _spline_slope(t: _Array) -> tuple[_Array, ...]:
    squared = t * t
    return (
        -((1 - t) ** 2) / 2,
        (3 * squared - 4 * t) / 2,
        (1 + 2 * t - 3 * squared) / 2,
        squared / 2,
    )


def _information(joint: NDArray[np.float64]) -> tuple[float, _Array]:
    """Mutual information of a joint histogram (sum 1), and its derivative but for a constant."""
    fixed, moving = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    told = np.log(np.where(seen, joint, 1.0)) - np.log(np.where(moving > 0, moving, 1.0))
    told[~seen] = 0.0
    fixed_entropy = -(fixed[fixed > 0] * np.log(fixed[fixed > 0])).sum()
    return float((joint * told).sum() + fixed_entropy), told.astype(np.float32).ravel()


def _pull(part: _Part, told: _Array) -> NDArray[np.float64]:
    """What some samples add to the gradient by the map into moving voxel indices, (3, 4)."""
    pull = np.zeros_like(part.weights)
    for shift, slope in enumerate(_spline_slope(part.within), -1):
        pull += slope * told.take(part.cells + shift)
    pulled = part.slopes * (pull * part.weights)
    return np.hstack([pulled @ part.points, pulled.sum(axis=1, keepdims=True)]).astype(np.float64)
