"""Linear registration: methods, transforms between two images' spaces, resampling."""

from monai_transfer.imaging.registration.files import (
    from_flirt,
    from_ras,
    read_matrix,
    read_transform,
)
from monai_transfer.imaging.registration.method import Registration
from monai_transfer.imaging.registration.resampling import Grid, Interpolation, resample
from monai_transfer.imaging.registration.transform import (
    IDENTITY,
    RAS_TO_LPS,
    LinearTransform,
    SpatialTransform,
    about,
)

__all__ = [
    "IDENTITY",
    "RAS_TO_LPS",
    "Grid",
    "Interpolation",
    "LinearTransform",
    "Registration",
    "SpatialTransform",
    "about",
    "from_flirt",
    "from_ras",
    "read_matrix",
    "read_transform",
    "resample",
]
