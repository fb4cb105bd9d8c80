"""Textures of simulated pictures: noise, stripes, checks and gradients, at any scale and angle."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.simulation.fields import Array

TEXTURES = ("noise", "stripes", "checks", "gradient")
"""Families of textures."""


def draw_texture(rng: np.random.Generator, family: str, *, side: int) -> Array:
    """A texture over a whole picture.

    Args:
        rng: source of randomness: scale, angle and sharpness.
        family: one of `TEXTURES`.
        side: pixels along each side of the picture; scales are shares of it.

    Returns:
        (side, side) values of mean 0 and standard deviation 1.

    Source:
        Ours.

    Example:
        >>> texture = draw_texture(np.random.default_rng(0), "stripes", side=64)
        >>> texture.shape, abs(float(texture.mean())) < 1e-5
        ((64, 64), True)
    """
    along, across = _turned(rng, side)
    period = float(np.exp(rng.uniform(np.log(0.04), np.log(0.25))))
    if family == "noise":
        values = _band(rng, side, sigma=max(0.7, 0.12 * period * side))
    elif family == "stripes":
        values = np.tanh(float(rng.uniform(0.5, 4.0)) * np.sin(2.0 * np.pi * along / period))
    elif family == "checks":
        both = np.sin(2.0 * np.pi * along / period) * np.sin(2.0 * np.pi * across / period)
        values = np.tanh(float(rng.uniform(1.0, 6.0)) * both)
    else:
        bend = float(rng.uniform(-1.0, 1.0))
        values = along + bend * across**2 + 0.15 * _band(rng, side, sigma=0.08 * side)
    centred = values - values.mean()
    out: Array = (centred / max(float(centred.std()), 1e-6)).astype(np.float32)
    return out


def _turned(
    rng: np.random.Generator, side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Positions along two axes of any orientation, in sides of the picture from a random point."""
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    x, y = np.indices((side, side)) / side - rng.uniform(0.0, 1.0, 2).reshape(2, 1, 1)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _band(rng: np.random.Generator, side: int, *, sigma: float) -> npt.NDArray[np.float64]:
    """White noise between two blurs: grain of about one size."""
    white = rng.standard_normal((side, side))
    fine, coarse = (ndimage.gaussian_filter(white, s, mode="wrap") for s in (sigma, 2.0 * sigma))
    band: npt.NDArray[np.float64] = (fine - coarse) / np.std(fine - coarse)
    return band
