"""Linear maps by few numbers, all of them in mm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from monai_transfer._types import Affine

_RADIUS_MM = 70.0
"""Of a brain: a turn or a stretch by so much over this moves its surface about so much."""

_STEP_MM = 1e-3
_STRETCHES = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])

Numbers = NDArray[np.float64]

PARAMETERS: dict[str, int] = {"rigid": 6, "affine": 12}
"""Shift (3), turn (3), stretch along the axes (3) and between them (3)."""


@dataclass(frozen=True, eq=False)
class Centres:
    """Two points that a pose of zeros lays on each other; LPS.

    Args:
        fixed_mm: (3,), in the fixed image.
        moving_mm: (3,), in the moving one.
    """

    fixed_mm: Numbers
    moving_mm: Numbers


def pose(numbers: Numbers, centres: Centres) -> Affine:
    """The map fixed → moving, LPS mm: stretch, turn about one centre, shift to the other.

    Args:
        numbers: (6,) or (12,); zeros only shift one centre to the other.
        centres: what is turned about, and where it goes.

    Example:
        >>> centres = Centres(np.zeros(3), np.zeros(3))
        >>> quarter = np.array([0, 0, 0, 0, 0, np.pi / 2 * 70])
        >>> (pose(quarter, centres) @ [1, 0, 0, 1]).round(6)
        array([0., 1., 0., 1.])
    """
    linear = Rotation.from_rotvec(numbers[3:6] / _RADIUS_MM).as_matrix()
    if numbers.size > PARAMETERS["rigid"]:
        linear = linear @ expm((numbers[6:] / _RADIUS_MM)[_STRETCHES])
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centres.moving_mm + numbers[:3] - linear @ centres.fixed_mm
    return matrix


def pose_slopes(numbers: Numbers, centres: Centres) -> Numbers:
    """Derivative of :func:`pose`'s first three rows by each number, (6 or 12, 3, 4)."""
    steps = _STEP_MM * np.eye(numbers.size)
    change = [pose(numbers + step, centres) - pose(numbers - step, centres) for step in steps]
    return np.stack(change)[:, :3] / (2 * _STEP_MM)


def turns(angle_degrees: float) -> Numbers:
    """Numbers of no turn, and of turns by so much about every axis and diagonal, (27, 6)."""
    steps = np.array([(0, 0, 0), *(s for s in np.ndindex(3, 3, 3) if s != (1, 1, 1))], float)
    steps[1:] -= 1
    lengths = np.linalg.norm(steps[1:], axis=1, keepdims=True)
    steps[1:] *= np.deg2rad(angle_degrees) * _RADIUS_MM / lengths
    return np.hstack([np.zeros_like(steps), steps])
