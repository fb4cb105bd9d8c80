"""Tissue fractions and pathology mixed into them."""

import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.mixture import Mixture


@pytest.fixture
def mixture(brain: Anatomy) -> Mixture:
    return Mixture(brain, np.random.default_rng(0))


def total(mixture: Mixture) -> np.ndarray:
    return np.sum(list(mixture.fractions.values()), axis=0)


def test_a_healthy_brain_holds_iron_plexus_and_veins(mixture: Mixture) -> None:
    np.testing.assert_allclose(total(mixture), 1.0, atol=1e-4)
    assert set(mixture.fractions) == {"wm", "gm", "csf", "iron", "choroid", "vein"}
    share = {name: float(f.mean()) for name, f in mixture.fractions.items()}
    assert 0.001 < share["vein"] < 0.05
    assert 0.002 < share["iron"] < 0.05
    assert 0.0002 < share["choroid"] < 0.01


def test_what_is_mixed_in_fills_its_part_and_the_rest_keeps_its_proportions(
    mixture: Mixture, brain: Anatomy
) -> None:
    before = {name: f.copy() for name, f in mixture.fractions.items()}
    half = np.full(brain.brain.shape, 0.5, np.float32)
    mixture.mix_in({"plaque": half * 0.6, "black_hole": half * 0.4})
    np.testing.assert_allclose(mixture.fractions["plaque"], 0.3, atol=1e-6)
    np.testing.assert_allclose(mixture.fractions["black_hole"], 0.2, atol=1e-6)
    for name, fraction in before.items():
        np.testing.assert_allclose(mixture.fractions[name], 0.5 * fraction, atol=1e-6)


def test_mixing_in_twice_adds_up(mixture: Mixture, brain: Anatomy) -> None:
    half = np.full(brain.brain.shape, 0.5, np.float32)
    mixture.mix_in({"oedema": half})
    mixture.mix_in({"oedema": half})
    np.testing.assert_allclose(mixture.fractions["oedema"], 0.75, atol=1e-6)
    np.testing.assert_allclose(total(mixture), 1.0, atol=1e-4)
