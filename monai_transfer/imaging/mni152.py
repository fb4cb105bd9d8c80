"""The grid of the MNI-ICBM 152 template at 1 mm, without reading it."""

import numpy as np

from monai_transfer._types import Affine

SHAPE = (197, 233, 189)
"""Voxels along x, y and z."""

CENTRE_MM = (0.0, -22.0, 9.5)
"""Centre of mass of the template's brain."""


def template_affine() -> Affine:
    """Voxel index → mm of the template: x, y and z are those of the world, RAS+.

    Source:
        Fonov 2009, NeuroImage 47:S102, as nilearn ships it.

    Example:
        >>> (template_affine() @ [98, 134, 72, 1]).tolist()  # the anterior commissure
        [0.0, 0.0, 0.0, 1.0]
    """
    affine = np.eye(4)
    affine[:3, 3] = -98, -134, -72
    return affine
