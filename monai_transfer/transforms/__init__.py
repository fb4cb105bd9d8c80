"""MONAI transforms for brain MRI, and one named preprocessing chain per paper."""

from monai_transfer.imaging.intensity import standardise
from monai_transfer.imaging.papers import K19_SIZE_MM
from monai_transfer.transforms.bias_field import CorrectBiasField, CorrectBiasFieldd
from monai_transfer.transforms.brain import ExtractBraind
from monai_transfer.transforms.brain_patches import BrainPatches
from monai_transfer.transforms.grid import OneGridd, OneGridReader
from monai_transfer.transforms.intensity import (
    ScalePercentiles,
    ScalePercentilesd,
    StandardiseBrain,
    StandardiseBraind,
    ToStandardScale,
    ToStandardScaled,
)
from monai_transfer.transforms.labels import ClassIndexd, class_indices
from monai_transfer.transforms.patch_dataset import PatchDataset
from monai_transfer.transforms.patches import axial_slices, k19_training
from monai_transfer.transforms.prepared import CheckPreparedd
from monai_transfer.transforms.presets import k19, preset
from monai_transfer.transforms.randomisation import KeepBackgroundd, randomise_domain
from monai_transfer.transforms.registration import Registerd, RegisterToMNI152d
from monai_transfer.transforms.slice_dataset import SliceDataset
from monai_transfer.transforms.slice_presets import gl20, z22
from monai_transfer.transforms.slices import (
    ContiguousSlicesd,
    slice_presence,
    slices_with_image,
    z22_slice_size,
)
from monai_transfer.transforms.template import ToTemplateGridd

__all__ = [
    "K19_SIZE_MM",
    "BrainPatches",
    "CheckPreparedd",
    "ClassIndexd",
    "ContiguousSlicesd",
    "CorrectBiasField",
    "CorrectBiasFieldd",
    "ExtractBraind",
    "KeepBackgroundd",
    "OneGridReader",
    "OneGridd",
    "PatchDataset",
    "RegisterToMNI152d",
    "Registerd",
    "ScalePercentiles",
    "ScalePercentilesd",
    "SliceDataset",
    "StandardiseBrain",
    "StandardiseBraind",
    "ToStandardScale",
    "ToStandardScaled",
    "ToTemplateGridd",
    "axial_slices",
    "class_indices",
    "gl20",
    "k19",
    "k19_training",
    "preset",
    "randomise_domain",
    "slice_presence",
    "slices_with_image",
    "standardise",
    "z22",
    "z22_slice_size",
]
