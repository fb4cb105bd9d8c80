"""MONAI transforms for brain MRI, and one named preprocessing chain per paper."""

from monai_transfer.transforms.brain import ExtractBraind
from monai_transfer.transforms.grid import OneGridd, OneGridReader
from monai_transfer.transforms.intensity import StandardiseBrain, StandardiseBraind, standardise
from monai_transfer.transforms.labels import ClassIndexd, class_indices
from monai_transfer.transforms.presets import K19_SIZE_MM, k19, k19_training
from monai_transfer.transforms.randomisation import KeepBackgroundd, randomise_domain

__all__ = [
    "K19_SIZE_MM",
    "ClassIndexd",
    "ExtractBraind",
    "KeepBackgroundd",
    "OneGridReader",
    "OneGridd",
    "StandardiseBrain",
    "StandardiseBraind",
    "class_indices",
    "k19",
    "k19_training",
    "randomise_domain",
    "standardise",
]
