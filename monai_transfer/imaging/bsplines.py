"""Approximation of scattered values by a cubic B-spline on a regular lattice of control points.

The points are voxels of a grid, so every sum over the 4×4×4 control points around each of them is
three small matrix products, one per axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from torch import Tensor

SPLINE_ORDER = 3


def spline_weights(size: int, spans: int) -> NDArray[np.float32]:
    """Weights of the control points of a uniform B-spline at each voxel of an axis.

    Args:
        size: voxels; the first is where the first span begins, the last where the last one ends.
        spans: of the spline, which has three control points more.

    Returns:
        (size, spans + 3), rows of sum 1.

    Example:
        >>> spline_weights(3, 1)[::2].round(3)
        array([[0.167, 0.667, 0.167, 0.   ],
               [0.   , 0.167, 0.667, 0.167]], dtype=float32)
    """
    knots = np.arange(-SPLINE_ORDER, spans + SPLINE_ORDER + 1.0)
    positions = np.linspace(0.0, spans, size)
    weights: NDArray[np.float32] = (
        BSpline.design_matrix(positions, knots, SPLINE_ORDER).toarray().astype(np.float32)
    )
    return weights


@dataclass(frozen=True)
class Points:
    """Voxels of a grid that have a value, and the smallest box around them.

    Args:
        box: one slice per axis.
        inside: (x, y, z) the voxels of the box that have one.
        where: their flat indices in it, in the order of the values.
    """

    box: tuple[slice, ...]
    inside: Tensor
    where: Tensor

    @classmethod
    def of(cls, included: Tensor) -> "Points":
        """The points where a (x, y, z) mask is true; it must be so somewhere."""
        box = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            taken = included.any(dim=others).nonzero()
            box.append(slice(int(taken[0]), int(taken[-1]) + 1))
        inside = included[tuple(box)].contiguous()
        return cls(tuple(box), inside, inside.flatten().nonzero()[:, 0])


class Approximation:
    """B-splines for many sets of values at the same points.

    Args:
        points: where the values are.
        matrices: one per axis, (voxel of the box, control point).

    Source:
        Lee et al. 1997, doi:10.1109/2945.620490, as ITK's
        ``BSplineScatteredDataPointSetToImageFilter``.

    Example:
        >>> points = Points.of(torch.ones(9, 9, 9, dtype=torch.bool))
        >>> fit = Approximation(points, [torch.as_tensor(spline_weights(9, 2))] * 3)
        >>> lattice = fit.lattice(torch.linspace(0, 1, 9**3))
        >>> lattice.shape, fit.values(lattice).shape
        (torch.Size([5, 5, 5]), torch.Size([729]))
    """

    def __init__(self, points: Points, matrices: list[Tensor]) -> None:
        self.points, self.matrices = points, matrices
        squared = [matrix**2 for matrix in matrices]
        self.cubed = [m**3 / s.sum(1, keepdim=True) for m, s in zip(matrices, squared, strict=True)]
        self.omega = _reduced(points.inside.float(), squared)
        self.data = torch.zeros(points.inside.shape, device=points.inside.device)

    def lattice(self, values: Tensor) -> Tensor:
        """Control points for a value at each point; 0 where none is near."""
        self.data.view(-1).index_copy_(0, self.points.where, values)
        return torch.where(self.omega > 0, _reduced(self.data, self.cubed) / self.omega, 0.0)

    def values(self, lattice: Tensor) -> Tensor:
        """The spline at each point."""
        return expanded(lattice, self.matrices).view(-1).index_select(0, self.points.where)


def _reduced(volume: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Sum over the voxels: (x, y, z) with (x, a), (y, b), (z, c) to (a, b, c)."""
    along_x, along_y, along_z = matrices
    lattice: Tensor = torch.tensordot(along_x.T, along_y.T @ (volume @ along_z), dims=1)
    return lattice


def expanded(lattice: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Sum over the control points: (a, b, c) with (x, a), (y, b), (z, c) to (x, y, z)."""
    along_x, along_y, along_z = matrices
    volume: Tensor = (along_y @ torch.tensordot(along_x, lattice, dims=1)) @ along_z.T
    return volume
