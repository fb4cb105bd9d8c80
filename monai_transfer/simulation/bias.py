"""The bias field of a coil."""

import numpy as np

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array, smooth_field


def draw_bias(rng: np.random.Generator, anatomy: Anatomy, *, cv: float) -> Array:
    """A smooth multiplicative field with mean 1 over the brain and the given variation."""
    grid, brain = anatomy.grid, anatomy.brain
    field = smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=70.0)
    inside = field[brain]
    field -= inside.mean()
    field *= np.float32(cv) / max(float(inside.std()), 1e-6)
    np.exp(field, out=field)
    field /= field[brain].mean()
    return field
