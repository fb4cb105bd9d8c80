"""How like an image its reconstruction is: over the brain, by MONAI's metrics."""

import math
from typing import Final

import torch
from monai.metrics import MAEMetric, PSNRMetric, compute_ssim_and_cs
from torch import Tensor

from monai_transfer.errors import InputError

RECONSTRUCTION_METRICS: Final = ("ssim", "psnr_db", "l1")
"""Structural similarity and peak signal-to-noise ratio, of which more is better, and the mean
absolute difference, of which less is."""

WINDOW: Final = 11
"""Pixels per side of the window of the structural similarity."""

_SIGMA = 1.5


def score_reconstruction(restored: Tensor, image: Tensor) -> dict[str, float]:
    """Compare a reconstruction with its image, over the brain.

    The brain is where any channel of the image is not 0. A black background is easily restored;
    with it, every score would tell first of all how much background there is.

    Args:
        restored: (channels, x, y, z).
        image: likewise; intensities in [0, 1].

    Returns:
        ``ssim``: mean over the brain's voxels of the structural similarity of axial slices, in
        Gaussian windows of 11×11 pixels (SD 1.5) that lie in the slice; ``psnr_db``: peak
        signal-to-noise ratio for a peak of 1, in dB, infinite for a perfect one; ``l1``: mean
        absolute difference. All are NaN for an image without brain.

    Raises:
        InputError: shapes that differ, or slices smaller than the window.

    Source:
        Wang 2004, doi:10.1109/TIP.2003.819861, with its constants, as MONAI computes it; the
        average over the brain is ours. Zoetmulder 2022 does not score its reconstructions.

    Example:
        >>> image = torch.full((1, 16, 16, 2), 0.5)
        >>> {name: round(v, 3) for name, v in score_reconstruction(image + 0.1, image).items()}
        {'ssim': 0.984, 'psnr_db': 20.0, 'l1': 0.1}
    """
    restored, image = (torch.as_tensor(t).as_subclass(Tensor).float() for t in (restored, image))
    if restored.shape != image.shape or image.ndim != 4 or min(image.shape[1:3]) < WINDOW:
        rule = f"be two of one shape (channels, x, y, z), x and y at least {WINDOW}"
        got = f"{tuple(restored.shape)} and {tuple(image.shape)}"
        raise InputError("reconstruction", "images", rule, got=got)
    pair = [volume.movedim(-1, 0) for volume in (restored, image)]  # (z, channels, x, y)
    brain = (pair[1] != 0).any(dim=1, keepdim=True)
    if not brain.any():
        return dict.fromkeys(RECONSTRUCTION_METRICS, math.nan)
    inside = [slices[brain.expand_as(slices)][None, None] for slices in pair]
    return {
        "ssim": _similarity(pair, brain),
        "psnr_db": float(torch.as_tensor(PSNRMetric(max_val=1.0)(*inside))),
        "l1": float(torch.as_tensor(MAEMetric()(*inside))),
    }


def _similarity(pair: list[Tensor], brain: Tensor) -> float:
    holds = brain.flatten(1).any(dim=1)
    restored, image = (slices[holds] for slices in pair)
    by_window, _ = compute_ssim_and_cs(
        restored, image, 2, kernel_size=(WINDOW, WINDOW), kernel_sigma=(_SIGMA, _SIGMA)
    )
    margin = WINDOW // 2
    centres = brain[holds][..., margin:-margin, margin:-margin].expand_as(by_window)
    return float(by_window[centres].mean())
