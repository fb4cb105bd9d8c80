"""Algorithms on single images: registration, bias field, brain, intensities; without MONAI."""

from monai_transfer.imaging.expectations import Finding, check_prepared
from monai_transfer.imaging.files import read_image, write_image
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.intensity import scale_percentiles, standardise
from monai_transfer.imaging.nyul import (
    StandardScale,
    landmarks,
    learn_standard_scale,
    read_standard_scale,
    to_standard_scale,
    write_standard_scale,
)
from monai_transfer.imaging.papers import RECIPES, named_recipe
from monai_transfer.imaging.recipe import Loading, Preparation, Recipe, Scaling

__all__ = [
    "RECIPES",
    "Finding",
    "Image",
    "Loading",
    "Preparation",
    "Recipe",
    "Scaling",
    "StandardScale",
    "check_prepared",
    "landmarks",
    "learn_standard_scale",
    "named_recipe",
    "read_image",
    "read_standard_scale",
    "scale_percentiles",
    "standardise",
    "to_standard_scale",
    "write_image",
    "write_standard_scale",
]
