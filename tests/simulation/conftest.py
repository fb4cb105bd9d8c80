"""Brains that several tests look at; made once per worker."""

import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy, realise
from monai_transfer.simulation.body import GRIDS
from monai_transfer.simulation.deformation import draw_warp


@pytest.fixture(scope="session")
def brain() -> Anatomy:
    """A healthy brain of 1200 mL on the 2 mm MNI grid."""
    rng = np.random.default_rng(5)
    warp = draw_warp(rng, (0.0, -21.0, 10.5), brain_ml=1200.0)
    return realise(rng, warp, grid=GRIDS["ms"].respaced(2.0))
