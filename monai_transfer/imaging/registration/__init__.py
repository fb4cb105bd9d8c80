"""Linear registration: methods, transforms between two images' spaces, resampling."""

from monai_transfer.imaging.registration.command import CommandRegistration
from monai_transfer.imaging.registration.elastix import ElastixRegistration
from monai_transfer.imaging.registration.files import (
    from_flirt,
    from_ras,
    read_matrix,
    read_transform,
)
from monai_transfer.imaging.registration.linear import LinearRegistration, shared_information
from monai_transfer.imaging.registration.method import KINDS, Registration
from monai_transfer.imaging.registration.resampling import INTERPOLATIONS, Grid, resample
from monai_transfer.imaging.registration.template import mni152, mni152_focus
from monai_transfer.imaging.registration.transform import (
    IDENTITY,
    RAS_TO_LPS,
    LinearTransform,
    SpatialTransform,
    about,
)

__all__ = [
    "IDENTITY",
    "INTERPOLATIONS",
    "KINDS",
    "RAS_TO_LPS",
    "CommandRegistration",
    "ElastixRegistration",
    "Grid",
    "LinearRegistration",
    "LinearTransform",
    "Registration",
    "SpatialTransform",
    "about",
    "from_flirt",
    "from_ras",
    "mni152",
    "mni152_focus",
    "read_matrix",
    "read_transform",
    "resample",
    "shared_information",
]
