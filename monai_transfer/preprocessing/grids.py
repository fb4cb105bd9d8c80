"""Grids of images: the same one, or another over the same box."""

import numpy as np

from monai_transfer._grids import apart_mm, is_one_grid
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration import Grid


def on_one_grid(one: Image, other: Image) -> bool:
    """Whether two images have the same voxels at the same places, but for rounding."""
    if one.shape != other.shape:
        return False
    return is_one_grid(apart_mm(one.affine, other.affine, one.shape), one.shape)


def respaced(grid: Grid, spacing_mm: tuple[float, float, float] | None) -> Grid:
    """The same box of the world with other voxels.

    Args:
        grid: any.
        spacing_mm: edges along the grid's own axes; ``None`` leaves it.

    Returns:
        A grid that begins at the same corner and covers the box, with less than a voxel over.

    Example:
        >>> respaced(Grid((10, 10, 5), np.diag([1.0, 1, 3, 1])), (2.0, 2.0, 2.0)).shape
        (5, 5, 8)
    """
    if spacing_mm is None:
        return grid
    own_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    ratio = np.asarray(spacing_mm) / own_mm
    if np.allclose(ratio, 1, atol=1e-3):
        return grid
    x, y, z = (max(1, int(n)) for n in np.ceil(np.array(grid.shape) / ratio - 1e-3))
    affine = grid.affine.copy()
    affine[:3, :3] *= ratio
    affine[:3, 3] += grid.affine[:3, :3] @ ((ratio - 1) / 2)  # centre of the first voxel
    return Grid((x, y, z), affine)
