"""Subject anatomy: volumes, fractions, and independence of the grid."""

import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy, realise, scout
from monai_transfer.simulation.body import GRIDS
from monai_transfer.simulation.deformation import draw_warp


def make(seed: int, spacing_mm: float, brain_ml: float = 1250.0) -> Anatomy:
    rng = np.random.default_rng(seed)
    warp = draw_warp(rng, (0.0, -21.0, 10.5), brain_ml=brain_ml)
    return realise(rng, warp, grid=GRIDS["ms"].respaced(spacing_mm))


def test_fractions_sum_to_one_inside_and_vanish_outside(brain: Anatomy) -> None:
    total = brain.gm + brain.wm + brain.csf
    np.testing.assert_allclose(total[brain.brain], 1.0, atol=1e-5)
    assert not total[~brain.brain].any()
    for fraction in (brain.gm, brain.wm, brain.csf):
        assert fraction.min() >= -1e-6
        assert fraction.max() <= 1.0 + 1e-6


@pytest.mark.parametrize("brain_ml", [1050.0, 1250.0, 1460.0])
def test_the_brain_has_the_volume_asked_for(brain_ml: float) -> None:
    anatomy = make(3, 4.0, brain_ml)
    volume_ml = anatomy.brain.sum() * anatomy.grid.voxel_mm3 / 1000.0
    assert volume_ml == pytest.approx(brain_ml, rel=0.12)


def test_tissues_are_in_the_proportions_of_adult_brains() -> None:
    shares = np.array(
        [
            [getattr(a, t)[a.brain].mean() for t in ("gm", "wm", "csf")]
            for a in map(coarse, range(6))
        ]
    )
    gm, wm, csf = shares.mean(axis=0)
    assert 0.38 < gm < 0.55
    assert 0.30 < wm < 0.50
    assert 0.07 < csf < 0.22
    assert shares[:, 2].std() > 0.01  # wide and narrow sulci


def coarse(seed: int) -> Anatomy:
    return make(seed, 4.0)


def test_ventricles_differ_between_subjects() -> None:
    volumes = [
        float(a.csf[a.ventricle_mm < 1.0].sum()) * a.grid.voxel_mm3 / 1000.0
        for a in map(coarse, range(6))
    ]
    assert max(volumes) > 1.5 * min(volumes)


def test_one_seed_is_one_brain_at_every_spacing() -> None:
    fine, coarse = make(1, 2.0), make(1, 4.0)
    blocks = [n * 2 for n in coarse.brain.shape]
    assert fine.brain.shape == tuple(blocks)
    averaged = fine.wm.reshape([k for n in coarse.brain.shape for k in (n, 2)]).mean(axis=(1, 3, 5))
    assert np.corrcoef(averaged.ravel(), coarse.wm.ravel())[0, 1] > 0.9


def test_different_seeds_are_different_brains() -> None:
    rng = np.random.default_rng
    grid = GRIDS["ms"].respaced(4.0)
    looks = [
        scout(draw_warp(rng(seed), (0.0, -21.0, 10.5), brain_ml=1250.0), grid).wm for seed in (0, 1)
    ]
    assert np.corrcoef(looks[0].ravel(), looks[1].ravel())[0, 1] < 0.9


def test_a_larger_gain_on_fluid_opens_the_sulci_of_the_same_brain() -> None:
    warp = draw_warp(np.random.default_rng(5), (0.0, -21.0, 10.5), brain_ml=1200.0)
    grid = GRIDS["ms"].respaced(4.0)
    young, old = (
        realise(np.random.default_rng(1), warp, grid=grid, csf_gain=(gain, gain))
        for gain in (2.0, 6.0)
    )
    np.testing.assert_array_equal(young.brain, old.brain)
    assert old.csf.sum() > 1.15 * young.csf.sum()
