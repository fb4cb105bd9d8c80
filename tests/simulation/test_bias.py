import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.bias import draw_bias


@pytest.mark.parametrize("cv", [0.02, 0.08])
def test_the_bias_field_has_the_variation_asked_for(brain: Anatomy, cv: float) -> None:
    bias = draw_bias(np.random.default_rng(0), brain, cv=cv)
    inside = bias[brain.brain]
    assert inside.mean() == pytest.approx(1.0, abs=1e-4)
    assert inside.std() == pytest.approx(cv, rel=0.1)
    assert bias.min() > 0.0
    steps = np.abs(np.diff(bias, axis=0)).max() / brain.grid.spacing_mm
    assert steps < 0.01  # per millimetre: smooth
