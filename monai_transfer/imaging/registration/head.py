"""Roughly where in an image of a head the brain is."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from monai_transfer._types import Mask
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.pyramid import reduced

_COARSE_MM = 4.0
_SKIN_TO_BRAIN_MM = 16.0
"""Scalp, skull and fluid are 12 to 16 mm; a brain that has lost its outermost fold serves too."""


def inside_head(image: Image) -> Image:
    """Mask of what lies deep inside the head: most of the brain, little else.

    Scalp, neck and eyes move and stretch against the brain; left in, they cost a linear
    registration half its accuracy. This is no brain extraction, but needs none.

    Args:
        image: whole head or skull-stripped, any contrast, the background darker.

    Returns:
        bool, on a grid of about 4 mm; everything where nothing lies so deep.

    Source:
        Ours.
    """
    coarse = reduced(image.with_voxels(image.voxels.astype(np.float32)), spacing_mm=_COARSE_MM)
    voxels = np.minimum(coarse.voxels, np.percentile(coarse.voxels, 99.5))
    head = _solid(voxels > 0.6 * _otsu(voxels))
    # a head cut off by the field of view goes on beyond it
    beyond = np.pad(head, 8, mode="edge")
    depth_mm = ndimage.distance_transform_edt(beyond, sampling=coarse.spacing_mm)
    deep = depth_mm[8:-8, 8:-8, 8:-8] > _SKIN_TO_BRAIN_MM
    return coarse.with_voxels(deep if deep.any() else np.ones_like(deep))


def _solid(mask: Mask) -> Mask:
    """The largest component, closed and without holes, those within a slice included."""
    closed = ndimage.binary_closing(np.pad(mask, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    labels, count = ndimage.label(closed)
    if count == 0:
        return mask
    solid: Mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    for axis in range(3):
        for plane in np.moveaxis(solid, axis, 0):
            plane[:] = ndimage.binary_fill_holes(plane)
    return solid


def _otsu(voxels: NDArray[np.float32]) -> float:
    """The threshold between two classes that are most apart (Otsu 1979)."""
    counts, edges = np.histogram(voxels, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    between = (total[-1] * below / below[-1] - total) ** 2
    return float(centres[(between / np.maximum(below * (below[-1] - below), 1)).argmax()])
