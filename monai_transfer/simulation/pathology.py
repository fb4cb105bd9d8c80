"""What every disease of the simulation has in common."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.fields import Array

Labels: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pathology:
    """Diseased tissue on the grid of an anatomy.

    Args:
        fractions: tissue → (x, y, z) part of each voxel it fills; together at most one.
        label: (x, y, z) what an expert would draw.
        others: name → (x, y, z) further labels of the same brain.
    """

    fractions: dict[str, Array]
    label: Labels
    others: dict[str, Labels] = field(default_factory=dict)


def threshold_for_volume(score: Array, voxels: float) -> float:
    """The value that `voxels` elements of `score` exceed; infinity for none.

    Example:
        >>> threshold_for_volume(np.array([3.0, 1.0, 2.0], np.float32), 2)
        1.0
    """
    count = round(voxels)
    if count < 1:
        return float("inf")
    if count >= score.size:
        return float("-inf")
    return float(np.partition(score, score.size - count - 1)[score.size - count - 1])


def soft_step(distance_mm: Array, edge_mm: float) -> Array:
    """Fraction of a voxel inside a surface, from the signed distance (positive inside).

    Args:
        distance_mm: to the surface.
        edge_mm: width over which the fraction falls from one to zero.
    """
    inside: Array = np.clip(0.5 + distance_mm / np.float32(edge_mm), 0.0, 1.0)
    return inside
