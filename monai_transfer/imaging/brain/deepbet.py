"""Brain masks from the library deepbet, where it is installed."""

import importlib.util
from typing import Any

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image

from monai_transfer._types import Mask
from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image


def deepbet_brain_mask(image: Image, /) -> Mask:
    """Brain mask by deepbet, whose wheel holds its weights; made for T1, good on T2 and FLAIR too.

    Args:
        image: whole head.

    Returns:
        The mask on the image's grid.

    Raises:
        InputError: deepbet is not installed, or finds no brain.

    Source:
        Fisch et al., Comput Biol Med 2024;179:108845, as published.
    """
    if importlib.util.find_spec("deepbet") is None:
        todo = "Type pip install deepbet, or take another method."
        raise InputError("brain extraction", "deepbet", "be installed", todo=todo)
    import deepbet

    stored = Nifti1Image(image.voxels.astype(np.float32), image.affine)
    try:
        model: Any = deepbet.BrainExtraction(no_gpu=not torch.cuda.is_available())
        _, mask, _ = model.run(stored)
    except AssertionError as error:
        raise InputError("brain extraction", "image", "show a brain", got=f"{error}") from error
    inside: Mask = np.asarray(mask.dataobj) > 0
    return inside
