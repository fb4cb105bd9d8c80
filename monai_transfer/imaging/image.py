"""An image in memory: voxels and where they are."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from monai_transfer._types import Affine, Voxels


@dataclass(frozen=True, eq=False)
class Image:
    """Voxels of one modality, or of a mask or label map, on a grid in the world.

    Args:
        voxels: (x, y, z), any number type.
        affine: voxel index → world mm, RAS+, as nibabel has it.

    Example:
        >>> image = Image(np.zeros((4, 5, 6)), np.diag([2.0, 2, 3, 1]))
        >>> image.shape, image.spacing_mm.tolist()
        ((4, 5, 6), [2.0, 2.0, 3.0])
    """

    voxels: Voxels
    affine: Affine

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        x, y, z = self.voxels.shape
        return x, y, z

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Edges of a voxel along x, y and z."""
        sizes: NDArray[np.float64] = voxel_sizes(self.affine)
        return sizes

    def with_voxels(self, voxels: Voxels) -> "Image":
        """Other voxels on the same grid."""
        return Image(voxels, self.affine)
