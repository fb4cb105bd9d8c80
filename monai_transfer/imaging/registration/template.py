"""The MNI152 template to register to."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from monai_transfer.imaging.image import Image

_RIM_MM = 6


@lru_cache(maxsize=1)
def mni152() -> Image:
    """T1 of the MNI152 average brain at 1 mm, skull-stripped: for skull-stripped images only.

    Whole heads registered to it end up too large: their scalp is laid on its cortex.

    Source: Fonov et al., NeuroImage 2009;47:S102 (ICBM152 2009a symmetric), from nilearn's wheel.
    """
    from nilearn.datasets import load_mni152_template  # a second of imports

    loaded = load_mni152_template(resolution=1)
    return Image(loaded.get_fdata(dtype=np.float32), np.asarray(loaded.affine, np.float64))


@lru_cache(maxsize=1)
def mni152_focus() -> Image:
    """Where an image and the template should agree: its brain with a rim of 6 mm around it."""
    template = mni152()
    brain = np.pad(template.voxels > 0, _RIM_MM)
    near = ndimage.distance_transform_edt(~brain)[(np.s_[_RIM_MM:-_RIM_MM],) * 3] <= _RIM_MM
    return template.with_voxels(near)
