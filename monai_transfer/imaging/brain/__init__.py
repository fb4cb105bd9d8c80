"""Where the brain is: one built-in method, other people's programs, a mask that is there already.

Brain means what lies within the inner skull: brain, the fluid in and around it, and the dura and
veins between; below, it ends with the cerebellum, about at the foramen magnum.
"""

from monai_transfer.imaging.brain.deepbet import deepbet_brain_mask
from monai_transfer.imaging.brain.external import HD_BET, SYNTHSTRIP, ExternalExtraction
from monai_transfer.imaging.brain.extraction import (
    METHODS,
    BrainExtraction,
    GivenMask,
    brain_extraction,
)
from monai_transfer.imaging.brain.stripped import LARGEST_BRAIN_ML, is_stripped, stripped_brain_mask
from monai_transfer.imaging.brain.unet import unet_brain_mask

__all__ = [
    "HD_BET",
    "LARGEST_BRAIN_ML",
    "METHODS",
    "SYNTHSTRIP",
    "BrainExtraction",
    "ExternalExtraction",
    "GivenMask",
    "brain_extraction",
    "deepbet_brain_mask",
    "is_stripped",
    "stripped_brain_mask",
    "unet_brain_mask",
]
