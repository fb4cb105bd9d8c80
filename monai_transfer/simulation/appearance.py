"""What a patient's tissues look like to a scanner: nominal ones, each a little off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.tissues import Tissue, tissue

Texture: TypeAlias = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Appearance:
    """One patient's tissues.

    Args:
        tissues: name → the tissue as this patient has it.
        textures: name, or ``other`` → how far water (T1 and T2) and T2 alone are off in each voxel
            of the brain, in units of a tissue's texture.
    """

    tissues: Mapping[str, Tissue]
    textures: Mapping[str, Texture]


def draw_appearance(
    rng: np.random.Generator, anatomy: Anatomy, *, names: Sequence[str], field_tesla: float
) -> Appearance:
    """The tissues called `names` as a patient has them."""
    tissues = {name: tissue(name, field_tesla).drawn(rng) for name in names}
    return Appearance(tissues, _draw_textures(rng, anatomy))


def ideal_signal(
    mixture: Mixture, appearance: Appearance, *, see: Callable[[Tissue], float]
) -> Array:
    """Signal of each voxel of the brain: its tissues, each a little off the patient's own."""
    total = np.zeros_like(mixture.fractions["wm"])
    for name, fraction in mixture.fractions.items():
        own = appearance.tissues[name]
        level = np.float32(see(own))
        wetter = np.float32(see(own.scaled(1.0 + own.texture))) - level
        slower = np.float32(see(own.decaying(1.0 + own.t2_texture))) - level
        water, decay = appearance.textures.get(name, appearance.textures["other"])
        total += fraction * (level + wetter * water + slower * decay)
    return total


def ideal_volume(
    mixture: Mixture, appearance: Appearance, *, see: Callable[[Tissue], float]
) -> Array:
    """Signal on the anatomy's grid.

    Outside the brain lies some fluid: a slice at the surface shares in its surroundings.
    """
    fluid = see(appearance.tissues["csf"])
    volume = np.full(mixture.anatomy.grid.shape, 0.35 * fluid, np.float32)
    volume[mixture.anatomy.brain] = ideal_signal(mixture, appearance, see=see)
    return volume


def _draw_textures(rng: np.random.Generator, anatomy: Anatomy) -> dict[str, Texture]:
    """How far water (T1 and T2) and T2 alone are off nominal, in units of a tissue's texture."""
    shape, spacing = anatomy.grid.shape, anatomy.grid.spacing_mm

    def mixed(*scales: tuple[float, float]) -> Array:
        field = sum(
            weight * smooth_field(rng, shape, spacing_mm=spacing, scale_mm=scale)
            for scale, weight in scales
        )
        return np.asarray(field, np.float32)[anatomy.brain]

    # The ependymal rim of FLAIR: white matter along the ventricles holds more free water.
    near = anatomy.ventricle_mm[anatomy.brain]
    rim = float(rng.uniform(1.0, 3.5)) * np.exp(-near / np.float32(rng.uniform(1.0, 2.5)))
    # Limbic cortex holds less myelin and iron: T2 alone is longer, or T1 would undo it on FLAIR.
    limbic = np.float32(rng.uniform(0.5, 2.0)) * anatomy.structures["limbic"][anatomy.brain]
    decay = mixed((18.0, 0.7), (5.0, 0.7))
    return {
        "wm": (mixed((25.0, 0.7), (7.0, 0.5), (2.5, 0.5)) + rim.astype(np.float32), decay),
        "gm": (mixed((20.0, 0.6), (5.0, 0.8)), decay + limbic),
        "csf": (mixed((12.0, 0.7), (4.0, 0.7)), decay),
        "other": (mixed((9.0, 0.7), (3.0, 0.7)), decay),
    }
