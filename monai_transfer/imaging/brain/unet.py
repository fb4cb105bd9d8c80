"""The built-in brain extraction: a small network that has seen simulated heads of any contrast."""

from functools import lru_cache
from importlib import resources

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from monai_transfer._types import Mask, Volume
from monai_transfer.errors import InputError
from monai_transfer.imaging.brain.network import DIVISOR, BrainUNet
from monai_transfer.imaging.brain.stripped import stripped_brain_mask
from monai_transfer.imaging.brain.working_grid import from_working_grid, to_working_grid
from monai_transfer.imaging.image import Image

_STRIPPED_EXCESS = 1.3


def unet_brain_mask(image: Image, /) -> Mask:
    """Brain mask of a whole head of any contrast: T1, T2, FLAIR, thick slices, oblique.

    An image whose background is exactly 0 right around the brain is taken as skull-stripped
    already, and the mask is what is not 0 in it.

    Args:
        image: of an adult's head; neck and face may be in it, the brain may be cut by the field
            of view.

    Returns:
        All within the inner skull, one piece, without holes.

    Raises:
        InputError: values that are not finite, or nothing that looks like a brain.

    Source:
        Ours. Learning from simulated heads of random contrast: SynthStrip, Hoopes et al.,
        NeuroImage 2022;260:119474.
    """
    voxels = np.asarray(image.voxels, np.float32)
    if not np.isfinite(voxels).all():
        raise InputError("brain extraction", "image", "be finite", got="NaN or infinity")
    inside = np.zeros(image.shape, bool)
    if voxels.min() < voxels.max():
        inside = _one_piece(from_working_grid(_logits(image), image) > 0.0)
    if not inside.any():
        raise InputError(
            "brain extraction",
            "image",
            "show a head with a brain",
            got="nothing like one",
            todo="Look at the image, or give a mask.",
        )
    shown = stripped_brain_mask(voxels[None])
    return shown if shown.sum() < _STRIPPED_EXCESS * inside.sum() else inside


def _logits(image: Image) -> Volume:
    """Of lying within the inner skull, on the working grid; mean with the mirrored head.

    They, not the probabilities, are what is interpolated: about linear across the surface.
    """
    head = torch.from_numpy(to_working_grid(image))
    logits: Volume = (0.5 * (_network_on(head) + _network_on(head.flip(0)).flip(0))).numpy()
    return logits


@torch.inference_mode()
def _network_on(head: Tensor) -> Tensor:
    x, y, z = head.shape
    padding = [side for size in (z, y, x) for side in (0, -size % DIVISOR)]
    logits: Tensor = _network()(functional.pad(head, padding)[None, None])[0, 0]
    return logits[:x, :y, :z]


def _one_piece(inside: Mask) -> Mask:
    """The largest connected piece, its holes filled."""
    pieces, count = ndimage.label(inside)
    if count > 1:
        inside = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    filled: Mask = ndimage.binary_fill_holes(inside)
    return filled


@lru_cache(maxsize=1)
def _network() -> BrainUNet:
    network = BrainUNet()
    with resources.files(__package__).joinpath("unet.pt").open("rb") as file:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()
