"""A prepared subject, in memory, and the way back to its scans."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monai_transfer._types import Mask
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.nyul import StandardScale, to_standard_scale
from monai_transfer.imaging.registration import Grid, SpatialTransform, resample


@dataclass(frozen=True, eq=False)
class Prepared:
    """A subject as a recipe prepares it.

    Args:
        images: modality → image; all on one grid.
        brain: mask on that grid.
        label: on that grid; ``None`` without a label.
        transforms: modality → map from the prepared space to the modality's own.
        native: modality → grid of the scan.
        reference: modality that the others were aligned to.
        bias_fields: modality → field on the scan's grid; empty where none was divided out.
        native_brain: mask on the reference's grid.
    """

    images: Mapping[str, Image]
    brain: Image
    label: Image | None
    transforms: Mapping[str, SpatialTransform]
    native: Mapping[str, Grid]
    reference: str
    bias_fields: Mapping[str, Image]
    native_brain: Image

    @property
    def grid(self) -> Grid:
        """That of all images."""
        return Grid(self.brain.shape, self.brain.affine)

    def to_native(self, label: Image, *, modality: str | None = None) -> Image:
        """A label map or mask, such as a prediction, on the grid of a scan.

        Args:
            label: on any grid in the prepared space; values are kept (nearest neighbour).
            modality: whose scan; ``None`` for the reference's.
        """
        name = self.reference if modality is None else modality
        back = self.transforms[name].inverse()
        return resample(label, self.native[name], transform=back, interpolation="nearest")


def on_scale(images: Mapping[str, Image], inside: Mask, scale: StandardScale) -> dict[str, Image]:
    """Images of one subject on a standard scale, 0 outside the brain.

    Args:
        images: modality → image, all on one grid.
        inside: brain on that grid.
        scale: learned from a cohort.
    """
    stack = np.stack([image.voxels for image in images.values()])
    mapped = to_standard_scale(stack, inside, scale=scale, modalities=[*images])
    return {
        name: image.with_voxels(voxels)
        for (name, image), voxels in zip(images.items(), mapped, strict=True)
    }
