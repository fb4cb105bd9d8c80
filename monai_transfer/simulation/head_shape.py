"""How large the parts of a head are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HeadShape:
    """Sizes that differ between heads.

    Args:
        fluid_mm: between the template's brain, whose fluid it holds already, and the skull.
        skull_mm: thickness of the skull.
        diploe_fraction: middle part of the skull that is marrow.
        fat_mm: thickness of the fat under the skin.
        skin_mm: thickness of the skin.
        air_scale: size of the sinuses relative to the average.
        neck_mm: radius of the neck.
    """

    fluid_mm: float = 1.0
    skull_mm: float = 6.5
    diploe_fraction: float = 0.4
    fat_mm: float = 4.0
    skin_mm: float = 2.0
    air_scale: float = 1.0
    neck_mm: float = 60.0


def draw_head_shape(rng: np.random.Generator) -> HeadShape:
    """A random head, in the range of adults.

    Example:
        >>> 4.5 <= draw_head_shape(np.random.default_rng(0)).skull_mm <= 9.0
        True
    """
    return HeadShape(
        fluid_mm=float(rng.uniform(0.0, 1.5)),
        skull_mm=float(rng.uniform(4.5, 9.0)),
        diploe_fraction=float(rng.uniform(0.0, 0.6)),
        fat_mm=float(rng.uniform(1.5, 8.0)),
        skin_mm=float(rng.uniform(1.5, 3.0)),
        air_scale=float(rng.uniform(0.7, 1.25)),
        neck_mm=float(rng.uniform(50.0, 72.0)),
    )
