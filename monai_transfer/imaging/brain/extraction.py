"""The hook: anything that takes an image and gives its brain mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from monai_transfer._grids import apart_mm, is_one_grid
from monai_transfer._types import Mask
from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.brain.deepbet import deepbet_brain_mask
from monai_transfer.imaging.brain.external import HD_BET, SYNTHSTRIP, ExternalExtraction
from monai_transfer.imaging.brain.unet import unet_brain_mask
from monai_transfer.imaging.image import Image


@runtime_checkable
class BrainExtraction(Protocol):
    """Any callable of this kind will do, a plain function too."""

    def __call__(self, image: Image, /) -> Mask:
        """Brain mask on the image's own grid."""


@dataclass(frozen=True, eq=False)
class GivenMask:
    """A mask that is there already, used as it is: not 0 is brain.

    Args:
        mask: on the grid of the image it will be used for.

    Raises:
        InputError: when called with an image on another grid.
    """

    mask: Image

    def __call__(self, image: Image, /) -> Mask:
        """The mask, once it is known to lie on the image's grid."""
        rule, todo = "lie on the image's grid", "Resample it to the image."
        if self.mask.shape != image.shape:
            got = f"{self.mask.shape} voxels, not {image.shape}"
            raise InputError("brain extraction", "given mask", rule, got=got, todo=todo)
        away = apart_mm(self.mask.affine, image.affine, image.shape)
        if not is_one_grid(away, image.shape):
            got = f"one {away:.4g} mm away"
            raise InputError("brain extraction", "given mask", rule, got=got, todo=todo)
        inside: Mask = self.mask.voxels != 0
        return inside


METHODS: Mapping[str, BrainExtraction] = MappingProxyType(
    {
        "unet": unet_brain_mask,
        "deepbet": deepbet_brain_mask,
        "hd-bet": HD_BET,
        "synthstrip": SYNTHSTRIP,
    }
)
"""Methods by name."""


def brain_extraction(method: str) -> BrainExtraction:
    """The method of a name, or a program of one's own.

    Args:
        method: of ``METHODS``, or a command with ``{image}`` and ``{mask}`` in it (see
            :class:`~monai_transfer.imaging.brain.external.ExternalExtraction`).

    Raises:
        InputError: neither.

    Example:
        >>> brain_extraction("unet") is unet_brain_mask
        True
        >>> brain_extraction("bet2 {image} {mask}").command
        'bet2 {image} {mask}'
    """
    if method in METHODS:
        return METHODS[method]
    if "{image}" in method:
        return ExternalExtraction(method)
    raise choice("brain extraction", "method", method, METHODS)
