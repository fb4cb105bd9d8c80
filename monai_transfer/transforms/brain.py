"""Brain extraction as a MONAI transform."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.brain import BrainExtraction, brain_extraction
from monai_transfer.transforms.naming import subject_of


class ExtractBraind(MapTransform):
    """Add the brain mask of an image to the dictionary; the image is left alone.

    Args:
        keys: of (c, x, y, z) MetaTensors.
        mask_key: where the mask goes, (1, x, y, z) uint8 with the image's affine; of several
            images the mask is what is brain in all of them.
        method: name, command (see :func:`~monai_transfer.imaging.brain.brain_extraction`), or
            any callable of that kind.
        channel: modality that is looked at.

    Raises:
        InputError: on construction, an unknown method; on use, images on different grids, or what
            the method raises, naming the subject.

    Source:
        Ours.

    Example:
        >>> given = lambda image: image.voxels > 0
        >>> image = MetaTensor(torch.ones(2, 4, 4, 4))
        >>> ExtractBraind("image", method=given)({"image": image})["brain"].shape
        torch.Size([1, 4, 4, 4])
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        mask_key: str = "brain",
        method: str | BrainExtraction = "unet",
        channel: int = 0,
    ) -> None:
        super().__init__(keys)
        self.mask_key, self.channel = mask_key, channel
        self.method = brain_extraction(method) if isinstance(method, str) else method

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dictionary with the mask."""
        result = dict(data)
        masks = [self._mask(result, key) for key in self.key_iterator(result)]
        if any(mask.shape != masks[0].shape for mask in masks):
            where, got = subject_of(data, self.first_key(result)), [m.shape for m in masks]
            raise InputError(where, "images", "lie on one grid", got=got)
        inside = torch.from_numpy(np.logical_and.reduce(masks).astype(np.uint8))[None]
        affine = result[self.first_key(result)].affine
        result[self.mask_key] = MetaTensor(inside, affine=affine.clone())
        return result

    def _mask(self, data: Mapping[Hashable, Any], key: Hashable) -> Any:
        image = data[key]
        voxels = image[self.channel].detach().cpu().numpy()
        try:
            return self.method(Image(voxels, image.affine.cpu().numpy()))
        except InputError as error:
            where = f"{subject_of(data, key)}: {error.where}"
            raise InputError(
                where, error.what, error.rule, got=error.got, todo=error.todo
            ) from error
