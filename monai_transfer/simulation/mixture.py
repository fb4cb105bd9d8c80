"""The tissues of a subject as fractions of each voxel, and pathology mixed into them."""

from collections.abc import Mapping
from copy import copy

import numpy as np

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array, smooth_field


class Mixture:
    """Fractions of each tissue in the voxels of the brain, summing to one.

    Fractions are kept as flat arrays over the brain's voxels, in the order of ``array[brain]``.

    Args:
        anatomy: the healthy brain.
        rng: source of randomness, for the veins.
    """

    def __init__(self, anatomy: Anatomy, rng: np.random.Generator) -> None:
        self.anatomy = anatomy
        brain = anatomy.brain
        self.fractions: dict[str, Array] = {
            "wm": anatomy.wm[brain],
            "gm": anatomy.gm[brain],
            "csf": anatomy.csf[brain],
        }
        # Iron lies in the nuclei, whose averaged maps are part white matter.
        solid = np.clip(anatomy.gm + anatomy.wm, 0.0, 1.0)
        self.mix_in({"iron": anatomy.structures["iron"] * solid})
        self.mix_in({"choroid": 0.8 * anatomy.structures["choroid"] * anatomy.csf})
        self.mix_in({"vein": _veins(anatomy, rng)})

    def with_parts(self, parts: Mapping[str, Array]) -> "Mixture":
        """A mixture of its own with other tissues in it (see :meth:`mix_in`)."""
        other = copy(self)
        other.fractions = {name: part.copy() for name, part in self.fractions.items()}
        other.mix_in(parts)
        return other

    def mix_in(self, parts: Mapping[str, Array]) -> None:
        """Replace part of every voxel by other tissues.

        Args:
            parts: tissue → (x, y, z) fraction it fills afterwards; together at most one. What was
                there before fills the rest, in its old proportions.
        """
        brain = self.anatomy.brain
        flat = {name: part[brain] for name, part in parts.items()}
        total: Array = np.sum(list(flat.values()), axis=0, dtype=np.float32)
        hit = np.flatnonzero(total)
        kept = np.clip(1.0 - total[hit], 0.0, 1.0)
        for other in self.fractions.values():
            other[hit] *= kept
        for name, part in flat.items():
            self.fractions[name] = self.fractions[name] + part if name in self.fractions else part


def _veins(anatomy: Anatomy, rng: np.random.Generator) -> Array:
    """Thin tubes along the fluid of the sulci, and the sinus of the midline.

    A tube is where two independent smooth fields are both near zero.
    """
    grid = anatomy.grid
    first, second = (
        smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=6.0) for _ in range(2)
    )
    width = np.float32(rng.uniform(0.25, 0.45))
    tube = np.clip(1.5 - np.hypot(first, second) / width, 0.0, 1.0)
    sulcal = np.clip(2.0 * anatomy.csf, 0.0, 0.9) * (anatomy.ventricle_mm > 8.0)
    great = anatomy.structures["sinus"] * np.clip(2.0 * anatomy.csf, 0.0, 1.0)
    veins: Array = np.maximum(tube * sulcal, great * np.float32(rng.uniform(0.3, 1.0)))
    return veins
