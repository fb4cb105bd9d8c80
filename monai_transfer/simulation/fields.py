"""Smooth random fields and separable interpolation, the brushes of the simulation.

Everything smooth here (deformation, bias field, texture, lesion outlines) is a cubic B-spline over
white noise on a coarse lattice. Evaluated one axis after the other it is three matrix products,
some fifty times cheaper than filtering noise on the full grid.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32]
Shape: TypeAlias = tuple[int, int, int]

# Variance of a cubic B-spline over unit white noise, averaged over the phase: 151/315 per axis.
_SPLINE_VARIANCE = 151.0 / 315.0


def linear_weights(positions: npt.NDArray[np.floating], knots: int) -> Array:
    """Weights that interpolate `knots` samples linearly at `positions`.

    Args:
        positions: (n,) positions in units of knots; outside [0, knots - 1] the end value holds.
        knots: number of samples along the axis.

    Returns:
        (n, knots) matrix whose rows sum to one.

    Example:
        >>> linear_weights(np.array([0.0, 0.25, 5.0]), 2)
        array([[1.  , 0.  ],
               [0.75, 0.25],
               [0.  , 1.  ]], dtype=float32)
    """
    distance = np.abs(np.clip(positions, 0, knots - 1)[:, None] - np.arange(knots)[None, :])
    weights: Array = np.clip(1.0 - distance, 0.0, None).astype(np.float32)
    return weights


def spline_weights(positions: npt.NDArray[np.floating], knots: int) -> Array:
    """Weights of the uniform cubic B-spline at `positions`, in units of knots.

    Example:
        >>> spline_weights(np.array([1.0]), 3).round(3)
        array([[0.167, 0.667, 0.167]], dtype=float32)
    """
    d = np.abs(positions[:, None] - np.arange(knots)[None, :])
    inner = 2.0 / 3.0 - d**2 + d**3 / 2.0
    outer = np.clip(2.0 - d, 0.0, None) ** 3 / 6.0
    weights: Array = np.where(d < 1.0, inner, outer).astype(np.float32)
    return weights


def apply_separable(values: Array, matrices: tuple[Array, Array, Array]) -> Array:
    """Apply one matrix per axis to a volume.

    Args:
        values: (a, b, c) volume.
        matrices: (x, a), (y, b) and (z, c).

    Returns:
        (x, y, z) volume.

    Example:
        >>> eye, total = np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32)
        >>> apply_separable(np.ones((2, 2, 2), np.float32), (eye, total, total)).ravel()
        array([4., 4.], dtype=float32)
    """
    along_x, along_y, along_z = matrices
    a, b, c = values.shape
    out = (along_x @ values.reshape(a, b * c)).reshape(len(along_x), b, c)
    out = np.matmul(along_y, out)
    shape = (len(along_x), len(along_y), len(along_z))
    volume: Array = (out.reshape(-1, c) @ along_z.T).reshape(shape)
    return volume


@dataclass(frozen=True, eq=False)
class SmoothField:
    """A smooth field that has been drawn, evaluated where and when it is wanted.

    Args:
        noise: (a, b, c) values at the knots of the lattice.
        weights: per axis, (voxels, knots) splines.
    """

    noise: Array
    weights: tuple[Array, Array, Array]

    def on(self, planes: slice) -> Array:
        """The field on some planes across the first axis."""
        x, y, z = self.weights
        return apply_separable(self.noise, (x[planes], y, z))


def draw_smooth_field(
    rng: np.random.Generator, shape: Shape, *, spacing_mm: float, scale_mm: float
) -> SmoothField:
    """A random field of mean 0 and standard deviation 1, not evaluated yet.

    The lattice is laid in millimetres from the corner of the first voxel, so one seed gives the
    same field, sampled more or less finely, on grids that differ only in spacing.

    Args:
        rng: source of randomness; draws one normal number per lattice knot.
        shape: voxels of the grid.
        spacing_mm: of the grid.
        scale_mm: distance of the lattice knots; structures are about twice as wide.

    Example:
        >>> drawn = draw_smooth_field(
        ...     np.random.default_rng(0), (60, 40, 20), spacing_mm=1.0, scale_mm=4.0
        ... )
        >>> drawn.on(slice(0, 8)).shape
        (8, 40, 20)
    """
    # One knot before the first voxel, two after the last: the support of a cubic spline. The
    # extent is rounded to 8 mm, so that grids which differ by part of a voxel draw alike.
    extents_mm = [8.0 * np.ceil(n * spacing_mm / 8.0) for n in shape]
    knots = tuple(int(extent // scale_mm) + 4 for extent in extents_mm)
    noise = rng.standard_normal(knots, dtype=np.float32)
    along_x, along_y, along_z = (
        spline_weights((np.arange(n) + 0.5) * spacing_mm / scale_mm + 1.0, k)
        for n, k in zip(shape, knots, strict=True)
    )
    noise /= np.float32(_SPLINE_VARIANCE**1.5)
    return SmoothField(noise, (along_x, along_y, along_z))


def smooth_field(
    rng: np.random.Generator, shape: Shape, *, spacing_mm: float, scale_mm: float
) -> Array:
    """:func:`draw_smooth_field`, on the whole grid.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> field = smooth_field(rng, (60, 60, 60), spacing_mm=1.0, scale_mm=4.0)
        >>> round(float(field.std()), 1)
        1.0
    """
    return draw_smooth_field(rng, shape, spacing_mm=spacing_mm, scale_mm=scale_mm).on(slice(None))
