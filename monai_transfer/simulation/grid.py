"""Sampling grids, in world millimetres (RAS+)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from monai_transfer.imaging.mni152 import SHAPE
from monai_transfer.simulation.fields import Shape

Window: TypeAlias = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """An axis-aligned isotropic grid, array axes x y z pointing right, anterior, superior.

    Args:
        shape: voxels along x, y, z.
        spacing_mm: edge of a voxel.
        origin_mm: world position of the centre of voxel (0, 0, 0).

    Example:
        >>> Grid((4, 4, 4), 2.0, (-3.0, 0.0, 1.0)).axes_mm()[0]
        array([-3., -1.,  1.,  3.])
    """

    shape: Shape
    spacing_mm: float
    origin_mm: tuple[float, float, float]

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """(4, 4) matrix from voxel indices to world millimetres."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return self.spacing_mm**3

    def axes_mm(self) -> tuple[npt.NDArray[np.float64], ...]:
        """World coordinates of the voxel centres along each axis."""
        return tuple(
            o + self.spacing_mm * np.arange(n, dtype=np.float64)
            for o, n in zip(self.origin_mm, self.shape, strict=True)
        )

    def points_mm(self) -> npt.NDArray[np.float64]:
        """(3, x, y, z) world positions of all voxel centres."""
        return np.stack(np.meshgrid(*self.axes_mm(), indexing="ij"))

    def crop(self, window: Window) -> "Grid":
        """The part of this grid inside `window` (slices with explicit bounds)."""
        x, y, z = window
        start = (o + self.spacing_mm * s.start for o, s in zip(self.origin_mm, window, strict=True))
        shape = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
        return Grid(shape, self.spacing_mm, _triple(start))

    def respaced(self, spacing_mm: float, *, pad: int = 0) -> "Grid":
        """A grid of another spacing over the same field of view.

        The outer corner of the first voxel stays; the shape is rounded, plus `pad` voxels at
        the far end.
        """
        if spacing_mm == self.spacing_mm and pad == 0:
            return self
        ratio = self.spacing_mm / spacing_mm
        x, y, z = (max(1, round(n * ratio)) + pad for n in self.shape)
        shift = (spacing_mm - self.spacing_mm) / 2.0
        return Grid((x, y, z), spacing_mm, _triple(o + shift for o in self.origin_mm))


MNI152 = Grid(SHAPE, 1.0, (-98.0, -134.0, -72.0))
"""The grid of the MNI-ICBM 152 template."""


@dataclass(frozen=True)
class SliceGrid:
    """An axis-aligned grid of slices, in-plane and slice spacing being different.

    Args:
        shape: voxels along x, y, z.
        spacing_mm: distance of the voxels along each axis.
        origin_mm: world position of the centre of voxel (0, 0, 0).
    """

    shape: Shape
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    @property
    def affine(self) -> npt.NDArray[np.float64]:
        """(4, 4) matrix from voxel indices to world millimetres."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, the gap included."""
        x, y, z = self.spacing_mm
        return x * y * z


def _triple(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = values
    return x, y, z
