"""The MNI152 template's grid, there and back."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample

from monai_transfer.imaging.mni152 import template_affine, template_shape


class ToTemplateGridd(MapTransform, InvertibleTransform):
    """Put images that are in MNI space onto the template's grid, by their affines.

    An image that is on it already stays as it is; zero comes from outside of others.

    Args:
        keys: of (c, x, y, z) MetaTensors.
        modes: interpolation of each, ``bilinear`` or ``nearest``.
        spacing_mm: edge of a voxel; the grid then has the template's axes and extent.

    Example:
        >>> from monai.data import MetaTensor
        >>> image = MetaTensor(torch.ones(1, 2, 2, 2), affine=template_affine())
        >>> grid = ToTemplateGridd("image", ["nearest"])
        >>> there = grid({"image": image})
        >>> tuple(there["image"].shape), float(there["image"].sum())
        ((1, 197, 233, 189), 8.0)
        >>> tuple(grid.inverse(there)["image"].shape)
        (1, 2, 2, 2)
    """

    def __init__(self, keys: KeysCollection, modes: list[str], *, spacing_mm: float = 1.0) -> None:
        super().__init__(keys)
        self.modes, self.spacing_mm = modes, spacing_mm
        self.resample = SpatialResample(padding_mode="zeros", dtype=np.float32)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample every image."""
        result = dict(data)
        affine = torch.from_numpy(template_affine(self.spacing_mm))
        shape = template_shape(self.spacing_mm)
        for key, mode in self.key_iterator(result, self.modes):
            result[key] = self.resample(result[key], affine, shape, mode=mode)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Back to the grid that each image had."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.resample.inverse(result[key])
        return result
