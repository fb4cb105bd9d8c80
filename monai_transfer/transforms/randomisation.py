"""Domain randomisation: scanners that nobody has seen, so that a network relies on none."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)

from monai_transfer.errors import InputError
from monai_transfer.imaging.intensity import DARKEST


class KeepBackgroundd(Randomizable, MapTransform):
    """Run a chain, then put the background back to what it was before, exactly 0; clip to (0, 1].

    Args:
        chain: transforms of dictionaries with ``image`` (c, x, y, z); seeded when this is, so
            that another worker or epoch draws other numbers.

    Example:
        >>> import torch
        >>> from monai.transforms import ShiftIntensityd
        >>> image = torch.tensor([[[[0.0, 0.5, 0.75]]]])
        >>> KeepBackgroundd(Compose([ShiftIntensityd("image", 0.375)]))({"image": image})["image"]
        metatensor([[[[0.0000, 0.8750, 1.0000]]]])
    """

    def __init__(self, chain: Compose) -> None:
        super().__init__(["image"])
        self.chain = chain

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> "KeepBackgroundd":
        """Seed the chain."""
        self.chain.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply the chain and the mask."""
        background = (data["image"] == 0).all(dim=0, keepdim=True)
        result: dict[Hashable, Any] = dict(self.chain(data))
        result["image"] = result["image"].clamp(DARKEST, 1).masked_fill(background, 0)
        return result


def randomise_domain(strength: float = 1.0) -> Compose:
    """Random pose and size, contrast, resolution, bias field and noise for images in [0, 1].

    Args:
        strength: 1 draws up to 20 % size, 0.2 rad rotation, 25 % gain and 0.08 offset per
            modality, gamma 0.7–1.5, a bias field that seldom leaves ±20 % (1st and 99th
            percentile; real ones: −16 and +30 % at worst), noise up to 0.04, blur up to 1 voxel
            and half the resolution; other values scale these ranges, save the resolution's.

    Returns:
        A transform of dictionaries with ``image`` (c, x, y, z) and, if there is one, ``label``; it
        draws anew on each call.

    Raises:
        InputError: a strength not in (0, 2].

    Example:
        >>> import torch
        >>> subject = {"image": torch.rand(2, 8, 8, 8), "label": torch.zeros(1, 8, 8, 8)}
        >>> other = randomise_domain()(subject)["image"]
        >>> tuple(other.shape), bool((other >= 0).all()), bool((other <= 1).all())
        ((2, 8, 8, 8), True, True)

    Source:
        The idea is Billot 2023 (SynthSeg), doi:10.1016/j.media.2023.102789; the ranges are ours.
    """
    if not 0 < strength <= 2:
        raise InputError("randomise_domain", "strength", "lie in (0, 2]", got=strength)
    turn = size = 0.2 * strength
    sigma, gamma = (0.2, strength), 1 + strength / 2
    pose = RandAffined(
        ["image", "label"],
        prob=0.5,
        rotate_range=(turn,) * 3,
        scale_range=(size,) * 3,
        mode=["bilinear", "nearest"],
        padding_mode="zeros",
        allow_missing_keys=True,
    )
    scanner = Compose(
        [
            RandGaussianSmoothd("image", sigma, sigma, sigma, prob=0.2),
            RandSimulateLowResolutiond("image", prob=0.2, zoom_range=(0.5, 1.0)),
            RandAdjustContrastd("image", prob=0.4, gamma=(1 / gamma, gamma)),
            RandScaleIntensityd("image", factors=0.25 * strength, prob=0.5, channel_wise=True),
            RandShiftIntensityd("image", offsets=0.08 * strength, prob=0.5, channel_wise=True),
            RandBiasFieldd("image", prob=0.4, coeff_range=(0.0, 0.15 * strength)),
            RandGaussianNoised("image", prob=0.4, std=0.04 * strength),
        ]
    )
    return Compose([pose, KeepBackgroundd(scanner)])
