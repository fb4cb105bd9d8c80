"""When two files lie on one grid: the one rule of the gate, the reader and the transforms."""

import itertools

import numpy as np
from numpy.typing import NDArray

TOLERANCE_MM = 1e-3
ROUNDING_MM = 5e-5
"""Per voxel: how headers round a direction; over a whole image it adds up to some hundredths."""


def apart_mm(one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """The largest distance between the corners of an image under two affines.

    Args:
        one: 4×4, voxel index → mm.
        other: likewise.
        shape: voxels along x, y and z.

    Example:
        >>> stretched = np.diag([1, 1, 1.1, 1])
        >>> round(apart_mm(np.eye(4), stretched, (10, 10, 5)), 3)  # four steps of 0.1 mm
        0.4
    """
    ends = [(0.0, size - 1.0) for size in shape]
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*ends)])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def is_one_grid(away_mm: float, shape: tuple[int, ...]) -> bool:
    """Whether so much distance is rounding: header numbers are float32, or a quaternion.

    Example:
        >>> [is_one_grid(away_mm, (240, 240, 155)) for away_mm in (0.03, 0.04, float("nan"))]
        [True, False, False]
    """
    return away_mm <= TOLERANCE_MM + ROUNDING_MM * sum(shape)
