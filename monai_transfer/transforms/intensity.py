"""Intensities on one scale, as MONAI transforms."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy

from monai_transfer._types import Channels
from monai_transfer.errors import InputError
from monai_transfer.imaging.brain import stripped_brain_mask
from monai_transfer.imaging.intensity import CLIP_SD, scale_percentiles, standardise
from monai_transfer.imaging.nyul import StandardScale, to_standard_scale
from monai_transfer.imaging.recipe import Over
from monai_transfer.transforms.naming import blamed_on, subject_of


class StandardiseBrain(Transform):
    """:func:`~monai_transfer.imaging.intensity.standardise` for skull-stripped images.

    The mask is :func:`~monai_transfer.transforms.brain.stripped_brain_mask` of the image itself.

    Args:
        clip_sd: standard deviations that become 0 and 1.

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
        return _on_array(
            lambda array: standardise(array, stripped_brain_mask(array), clip_sd=self.clip_sd),
            image,
        )


class ScalePercentiles(Transform):
    """:func:`~monai_transfer.imaging.intensity.scale_percentiles` as a MONAI transform.

    Args:
        lower: percentile that becomes 0.
        upper: percentile that becomes 1.
        over: ``all`` voxels, or those of the ``brain`` of a skull-stripped image.

    Example:
        >>> ScalePercentiles(25, 75, over="all")(torch.arange(5.0).reshape(1, 5, 1, 1)).ravel()
        tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000])
    """

    def __init__(self, lower: float, upper: float, *, over: Over) -> None:
        if not 0 <= lower < upper <= 100:
            got = f"{lower} and {upper}"
            raise InputError("ScalePercentiles", "percentiles", "rise within [0, 100]", got=got)
        self.percents, self.over = (float(lower), float(upper)), over

    def __call__(self, image: Any) -> Any:
        """Scale a (c, x, y, z) array or tensor; returns the same kind, float32."""
        return _on_array(self._scaled, image)

    def _scaled(self, array: Channels) -> Channels:
        mask = stripped_brain_mask(array) if self.over == "brain" else None
        return scale_percentiles(array, self.percents, mask=mask)


class ToStandardScale(Transform):
    """:func:`~monai_transfer.imaging.nyul.to_standard_scale` for skull-stripped images.

    Args:
        scale: learned from a cohort.
        modalities: name of each channel.
    """

    def __init__(self, scale: StandardScale, modalities: Sequence[str]) -> None:
        self.scale, self.modalities = scale, list(modalities)

    def __call__(self, image: Any) -> Any:
        """Map a (c, x, y, z) array or tensor; returns the same kind, float32."""
        return _on_array(self._mapped, image)

    def _mapped(self, array: Channels) -> Channels:
        mask = stripped_brain_mask(array)
        return to_standard_scale(array, mask, scale=self.scale, modalities=self.modalities)


class _Intensityd(MapTransform):
    """Dictionary form of a transform of intensities; its input errors name the subject."""

    def __init__(self, keys: KeysCollection, transform: Transform) -> None:
        super().__init__(keys)
        self.transform = transform

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform every image of a subject."""
        result = dict(data)
        for key in self.key_iterator(result):
            with blamed_on(subject_of(data, key)):
                result[key] = self.transform(result[key])
        return result


class StandardiseBraind(_Intensityd):
    """Dictionary form of :class:`StandardiseBrain`.

    Args:
        keys: of the images.
        clip_sd: see :class:`StandardiseBrain`.

    Raises:
        InputError: on use, naming the subject.
    """

    def __init__(self, keys: KeysCollection, clip_sd: float = CLIP_SD) -> None:
        super().__init__(keys, StandardiseBrain(clip_sd))


class ScalePercentilesd(_Intensityd):
    """Dictionary form of :class:`ScalePercentiles`.

    Args:
        keys: of the images.
        lower: see :class:`ScalePercentiles`.
        upper: likewise.
        over: likewise.

    Raises:
        InputError: on use, naming the subject.
    """

    def __init__(self, keys: KeysCollection, lower: float, upper: float, *, over: Over) -> None:
        super().__init__(keys, ScalePercentiles(lower, upper, over=over))


class ToStandardScaled(_Intensityd):
    """Dictionary form of :class:`ToStandardScale`.

    Args:
        keys: of the images.
        scale: see :class:`ToStandardScale`.
        modalities: likewise.

    Raises:
        InputError: on use, naming the subject.
    """

    def __init__(
        self, keys: KeysCollection, scale: StandardScale, *, modalities: Sequence[str]
    ) -> None:
        super().__init__(keys, ToStandardScale(scale, modalities))


def _on_array(function: Callable[[Channels], Channels], image: Any) -> Any:
    array = convert_to_numpy(image).astype(np.float32, copy=False)
    return convert_to_dst_type(function(array), image, dtype=torch.float32)[0]
