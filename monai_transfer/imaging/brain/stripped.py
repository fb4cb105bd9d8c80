"""Brain masks of skull-stripped images."""

import numpy as np
from scipy import ndimage

from monai_transfer._types import Channels, Mask
from monai_transfer.imaging.image import Image

LARGEST_BRAIN_ML = 2400.0
"""The template's, the largest there is in practice, has 1900."""


def stripped_brain_mask(image: Channels) -> Mask:
    """Brain mask of a skull-stripped image whose background is exactly 0.

    A voxel belongs to the brain when any channel is not 0 there, or when it lies in a hole of
    such voxels: interpolation leaves up to 1 % of brain voxels at 0, so ``image != 0`` alone is a
    holed mask, and ``image > 0`` loses the negative ones too.

    Args:
        image: channels of one subject on one grid.

    Returns:
        The mask; empty when every channel is 0 everywhere.

    Source:
        Ours, for data that come without a mask (BraTS, the open MS set).

    Example:
        >>> image = np.zeros((1, 5, 5, 5))
        >>> image[0, 1:4, 1:4, 1:4] = 1
        >>> image[0, 2, 2, 2] = 0
        >>> int(stripped_brain_mask(image).sum())
        27
    """
    inside: Mask = (image != 0).any(axis=0)
    for box in ndimage.find_objects(inside.astype(np.uint8)):  # at most one: the bounding box
        inside[box] = ndimage.binary_fill_holes(inside[box])
    return inside


def is_stripped(image: Image) -> bool:
    """Whether no more of an image differs from 0 than a brain can fill.

    Example:
        >>> is_stripped(Image(np.ones((200, 200, 200)), np.eye(4)))
        False
    """
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    return bool(np.count_nonzero(image.voxels) * voxel_ml <= LARGEST_BRAIN_ML)
