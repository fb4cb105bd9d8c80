"""The grid of the MNI-ICBM 152 template, without reading it."""

import math

import numpy as np

from monai_transfer._types import Affine

SHAPE = (197, 233, 189)
"""Voxels along x, y and z, at 1 mm."""

CENTRE_MM = (0.0, -22.0, 9.5)
"""Centre of mass of the template's brain."""


def template_shape(spacing_mm: float = 1.0) -> tuple[int, int, int]:
    """Voxels along x, y and z of a grid that covers the template's extent.

    Args:
        spacing_mm: edge of its voxels.

    Example:
        >>> template_shape(2.0)
        (99, 117, 95)
    """
    x, y, z = (math.ceil(round(n / spacing_mm, 6)) for n in SHAPE)
    return x, y, z


def template_affine(spacing_mm: float = 1.0) -> Affine:
    """Voxel index → mm of the template: x, y and z are those of the world, RAS+.

    Args:
        spacing_mm: edge of a voxel; the outer corner of the first one stays where it is.

    Source:
        Fonov 2009, NeuroImage 47:S102, as nilearn ships it.

    Example:
        >>> (template_affine() @ [98, 134, 72, 1]).tolist()  # the anterior commissure
        [0.0, 0.0, 0.0, 1.0]
        >>> (template_affine(2.0) @ [0, 0, 0, 1]).tolist()  # half a millimetre further in
        [-97.5, -133.5, -71.5, 1.0]
    """
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = np.array([-98.0, -134.0, -72.0]) + (spacing_mm - 1) / 2
    return affine
