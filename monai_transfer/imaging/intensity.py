"""Intensities on one scale, whatever the scanner's."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_transfer._types import Channels, Mask
from monai_transfer.errors import InputError

CLIP_SD = 4.0
"""Standard deviations that map to 0 and to 1."""

DARKEST = 2.0**-10
"""The least that a brain voxel becomes, so that 0 always means background."""


def percentiles(values: NDArray[np.number], percents: Sequence[float]) -> NDArray[np.float64]:
    """Percentiles, linear between the two nearest ranks: NumPy's default, in double precision.

    Only the ranks in question are put into their places. Of a brain's voxels that takes a third of
    a sort's time for two percentiles, and three quarters for thirteen, where measured; which is
    faster depends on the processor.

    Args:
        values: of any shape, at least one.
        percents: in [0, 100].

    Raises:
        InputError: a value that is not finite.

    Example:
        >>> percentiles(np.arange(11), [10, 25]).tolist()
        [1.0, 2.5]
    """
    flat = values.ravel(order="K")
    lowest, highest = flat.min(), flat.max()  # NaN, if there is one
    if not np.isfinite([lowest, highest]).all():
        got = f"{lowest} and {highest} as lowest and highest"
        raise InputError("image", "values", "be finite", got=got)
    rank = np.asarray(percents, np.float64) / 100 * (flat.size - 1)
    below = np.floor(rank).astype(np.intp)
    above = np.minimum(below + 1, flat.size - 1)
    placed = np.partition(flat, np.unique([below, above]))
    low, high = placed[below].astype(np.float64), placed[above].astype(np.float64)
    fraction: NDArray[np.float64] = rank - below
    return low + fraction * (high - low)


def scale_percentiles(
    image: Channels, percents: tuple[float, float], *, mask: Mask | None = None
) -> Channels:
    """Clip each channel at two of its percentiles, then scale it to [0, 1].

    Args:
        image: channels of one subject, any scale.
        percents: that become 0 and 1.
        mask: brain; the percentiles are those of its voxels, which become at least
            :data:`DARKEST`, and the background is 0. ``None``: of all voxels, background included.

    Returns:
        float32, same shape.

    Raises:
        InputError: an empty mask, a channel whose two percentiles are equal, or a voxel that is
            not finite.

    Source:
        Zoetmulder 2022, section 3.2 (1 and 99), and Giacomello 2020, section IV-B (2 and 98): 'for
        each MRI volume', no mask is named, and Giacomello's published code takes all voxels of the
        cropped volume. Clipping and min–max together: the clipped extremes are the percentiles.
        MONAI's ScaleIntensityRangePercentiles and TorchIO's RescaleIntensity give the same numbers.

    Example:
        >>> image = np.arange(5.0).reshape(1, 5, 1, 1)
        >>> scale_percentiles(image, (25, 75)).ravel().tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    inside = None if mask is None else brain_voxels(mask)
    scaled = np.zeros(image.shape, dtype=np.float32)
    for channel, (values, out) in enumerate(zip(image, scaled, strict=True)):
        chosen = values if inside is None else np.ravel(values)[inside]
        low, high = percentiles(chosen, percents)
        if not high > low:
            rule = f"have different percentiles {percents[0]:g} and {percents[1]:g}"
            raise InputError("image", f"channel {channel}", rule, got=f"{low:g} for both")
        unit = (chosen - np.float32(low)).astype(np.float32, copy=False)
        unit *= np.float32(1 / (high - low))
        if inside is None:
            np.clip(unit, 0, 1, out=out)
        else:
            out.reshape(-1)[inside] = np.clip(unit, DARKEST, 1)
    return scaled


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
    inside = brain_voxels(mask)
    scaled = np.zeros(image.shape, dtype=np.float32)
    for channel, (values, out) in enumerate(zip(image, scaled, strict=True)):
        brain = np.ravel(values)[inside].astype(np.float64)
        mean, sd = brain.mean(), brain.std()
        if not np.isfinite(sd) or sd == 0:
            rule = "be finite and vary inside the brain"
            raise InputError("image", f"channel {channel}", rule, got=f"mean {mean}, SD {sd}")
        out.reshape(-1)[inside] = np.clip((brain - mean) / (2 * clip_sd * sd) + 0.5, DARKEST, 1)
    return scaled


def brain_voxels(mask: Mask) -> NDArray[np.intp]:
    """Flat indices of a mask's voxels: taking values by them is faster than by the mask.

    Raises:
        InputError: an empty mask.

    Example:
        >>> brain_voxels(np.array([[[False, True, True]]])).tolist()
        [1, 2]
    """
    inside = np.flatnonzero(mask)
    if not inside.size:
        raise InputError("image", "brain mask", "hold at least one voxel", got="an empty mask")
    return inside
