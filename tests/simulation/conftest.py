"""Brains that several tests look at; made once per worker."""

import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy, positions_mm, realise
from monai_transfer.simulation.body import GRIDS
from monai_transfer.simulation.deformation import draw_warp

_CENTRE_MM = (0.0, -21.0, 10.5)


@pytest.fixture(scope="session")
def brain() -> Anatomy:
    """A healthy brain of 1200 mL on the 2 mm MNI grid."""
    rng = np.random.default_rng(5)
    warp = draw_warp(rng, _CENTRE_MM, brain_ml=1200.0)
    return realise(rng, warp, grid=GRIDS["ms"].respaced(2.0))


@pytest.fixture(scope="session")
def brain_mm(brain: Anatomy) -> np.ndarray:
    """(3, x, y, z) template position of each voxel of that brain."""
    warp = draw_warp(np.random.default_rng(5), _CENTRE_MM, brain_ml=1200.0)
    return positions_mm(warp, brain.grid)
