"""Intensities on one scale, whatever the scanner's."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy

from monai_transfer._types import Channels, Mask
from monai_transfer.errors import InputError
from monai_transfer.imaging.brain import stripped_brain_mask
from monai_transfer.transforms.naming import subject_of

CLIP_SD = 4.0
"""Standard deviations that map to 0 and to 1."""

DARKEST = 2.0**-10
"""The least that a brain voxel becomes, so that 0 always means background."""


def standardise(image: Channels, mask: Mask, *, clip_sd: float = CLIP_SD) -> Channels:
    """Subtract the brain's mean, divide by its SD, rescale to [0, 1]; the background is 0.

    Args:
        image: channels of one subject, any scale.
        mask: brain; the mean and SD of each channel are those of its voxels.
        clip_sd: ``-clip_sd`` becomes 0 and ``+clip_sd`` becomes 1, and what lies beyond is
            clipped (vessels reach 2 to 4 times the 99.5th percentile), to :data:`DARKEST` below.

    Returns:
        float32, same shape.

    Raises:
        InputError: an empty mask, a constant channel, or a non-finite voxel in the brain.

    Source:
        Kaur 2019, section 3.1: 'standardized using mean subtraction, division by standard
        deviation, and rescaled to range from 0 to 1'. The fixed range is ours: rescaling by each
        image's own extremes would undo the standardisation.

    Example:
        >>> image = np.array([[[[0.0, 10.0, 12.0]]]])
        >>> standardise(image, image[0] > 0).round(3).tolist()
        [[[[0.0, 0.375, 0.625]]]]
    """
    if not mask.any():
        raise InputError("image", "brain mask", "hold at least one voxel", got="an empty mask")
    scaled = np.zeros(image.shape, dtype=np.float32)
    for channel, (values, out) in enumerate(zip(image, scaled, strict=True)):
        brain = values[mask].astype(np.float64)
        mean, sd = brain.mean(), brain.std()
        if not np.isfinite(sd) or sd == 0:
            rule = "be finite and vary inside the brain"
            raise InputError("image", f"channel {channel}", rule, got=f"mean {mean}, SD {sd}")
        out[mask] = np.clip((brain - mean) / (2 * clip_sd * sd) + 0.5, DARKEST, 1)
    return scaled


class StandardiseBrain(Transform):
    """:func:`standardise` as a MONAI transform for skull-stripped images.

    The mask is :func:`~monai_transfer.imaging.brain.stripped_brain_mask` of the image itself.

    Args:
        clip_sd: see :func:`standardise`.

    Raises:
        InputError: a clip_sd that is not above 0.

    Example:
        >>> image = torch.zeros(1, 3, 3, 3)
        >>> image[0, 1, 1] = torch.tensor([90.0, 110.0, 100.0])
        >>> StandardiseBrain(clip_sd=2)(image)[0, 1, 1]  # SD 8.165
        tensor([0.1938, 0.8062, 0.5000])
    """

    def __init__(self, clip_sd: float = CLIP_SD) -> None:
        if not clip_sd > 0:
            raise InputError("StandardiseBrain", "clip_sd", "be above 0", got=clip_sd)
        self.clip_sd = clip_sd

    def __call__(self, image: Any) -> Any:
        """Standardise a (c, x, y, z) array or tensor; returns the same kind, float32."""
        array = convert_to_numpy(image).astype(np.float32, copy=False)
        scaled = standardise(array, stripped_brain_mask(array), clip_sd=self.clip_sd)
        return convert_to_dst_type(scaled, image, dtype=torch.float32)[0]


class StandardiseBraind(MapTransform):
    """Dictionary form of :class:`StandardiseBrain`.

    Args:
        keys: of the images.
        clip_sd: see :func:`standardise`.

    Raises:
        InputError: on use, as :func:`standardise`, naming the subject.
    """

    def __init__(self, keys: KeysCollection, clip_sd: float = CLIP_SD) -> None:
        super().__init__(keys)
        self.transform = StandardiseBrain(clip_sd)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Standardise every image of a subject."""
        result = dict(data)
        for key in self.key_iterator(result):
            try:
                result[key] = self.transform(result[key])
            except InputError as error:
                where = subject_of(data, key)
                raise InputError(where, error.what, error.rule, got=error.got) from error
        return result
