"""Gliomas: nesting, volumes, grades, and mass effect."""

import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.simulation.anatomy import Anatomy, realise, scout
from monai_transfer.simulation.body import GRIDS
from monai_transfer.simulation.deformation import Warp, draw_warp
from monai_transfer.simulation.glioma import (
    CORE,
    ENHANCING,
    OEDEMA,
    GliomaPlan,
    draw_glioma,
    plan_glioma,
)
from monai_transfer.simulation.pathology import Pathology

GRID = GRIDS["brats"].respaced(2.0)
Case = tuple[GliomaPlan, Warp, Anatomy, Pathology]


def make(grade: str, seed: int) -> Case:
    rng = np.random.default_rng([3, seed])
    warp = draw_warp(rng, (-119.0, 106.0, 74.0), brain_ml=1300.0)
    plan = plan_glioma(rng, scout(warp, GRID), grade=grade)
    anatomy = realise(rng, warp.pushed(plan.push), grid=GRID)
    return plan, warp, anatomy, draw_glioma(rng, anatomy, plan=plan)


@pytest.fixture(scope="module")
def high() -> list[Case]:
    return [make("HGG", seed) for seed in range(5)]


@pytest.fixture(scope="module")
def low() -> list[Case]:
    return [make("LGG", seed) for seed in range(5)]


def volume_ml(label: np.ndarray, *values: int) -> float:
    return float(np.isin(label, values).sum()) * GRID.voxel_mm3 / 1000.0


def test_volumes_are_those_planned_and_realistic(high: list[Case], low: list[Case]) -> None:
    for plan, _, _, tumour in high + low:
        whole = volume_ml(tumour.label, CORE, OEDEMA, ENHANCING)
        assert 8.0 < whole < 220.0
        assert whole == pytest.approx(plan.core_ml + plan.oedema_ml, rel=0.35)
        assert volume_ml(tumour.label, CORE, ENHANCING) == pytest.approx(plan.core_ml, rel=0.25)


def test_necrosis_lies_in_the_rim_and_the_rim_in_oedema_or_core(high: list[Case]) -> None:
    closed = []
    for _, _, _, tumour in high:
        dead = tumour.fractions["necrosis"] > 0.5
        shell = ndimage.binary_dilation(dead, iterations=1) & ~dead
        closed.append(np.isin(tumour.label[shell], (CORE, ENHANCING)).mean())
        # Seen from its middle, the dead part is closed in by enhancing tumour.
        core = np.isin(tumour.label, (CORE, ENHANCING))
        skin = core & ~ndimage.binary_erosion(core)
        assert (tumour.label[skin] == ENHANCING).mean() > 0.6
    assert min(closed) > 0.75  # where it is open, it borders on fluid
    assert np.mean(closed) > 0.85


def test_oedema_surrounds_the_core_and_is_one_piece_with_it(high: list[Case]) -> None:
    for _, _, anatomy, tumour in high:
        core = np.isin(tumour.label, (CORE, ENHANCING))
        ring = ndimage.binary_dilation(core, iterations=2) & ~core & (anatomy.wm > 0.7)
        assert (tumour.label[ring] == OEDEMA).mean() > 0.6
        pieces, _ = ndimage.label(tumour.label > 0, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() > 0.9 * sizes.sum()


def test_oedema_follows_white_matter(high: list[Case]) -> None:
    inside, around = [], []
    for _, _, anatomy, tumour in high:
        oedema = tumour.label == OEDEMA
        near = ndimage.binary_dilation(tumour.label > 0, iterations=4) & (tumour.label == 0)
        inside.append(anatomy.wm[oedema].mean())
        around.append(anatomy.wm[near & anatomy.brain].mean())
    assert np.mean(inside) > 1.5 * np.mean(around)


def test_low_grade_tumours_hardly_enhance(high: list[Case], low: list[Case]) -> None:
    def share(cases: list[Case]) -> list[float]:
        return [
            volume_ml(t.label, ENHANCING) / volume_ml(t.label, CORE, ENHANCING)
            for _, _, _, t in cases
        ]

    assert min(share(high)) > 0.25
    assert max(share(low)) < 0.2
    assert min(share(low)) == 0.0  # label 4 is missing in some, as in the real set
    assert max(share(low)) > 0.0


def test_tumours_lie_in_the_brain_and_are_not_spheres(high: list[Case], low: list[Case]) -> None:
    roundness = []
    for _, _, anatomy, tumour in high + low:
        assert not (tumour.label[~anatomy.brain] > 0).any()
        core = np.isin(tumour.label, (CORE, ENHANCING))
        offsets = np.argwhere(core)
        mean_mm = np.linalg.norm(offsets - offsets.mean(axis=0), axis=1).mean()
        ball = 0.75 * (3.0 * core.sum() / (4.0 * np.pi)) ** (1 / 3)  # of a ball of this volume
        roundness.append(ball / mean_mm)
    assert np.median(roundness) < 0.97
    assert min(roundness) < 0.92
    assert min(roundness) > 0.6  # and not scattered


def test_fractions_fill_at_most_the_voxel(high: list[Case], low: list[Case]) -> None:
    for _, _, _, tumour in high + low:
        total = np.sum(list(tumour.fractions.values()), axis=0)
        assert total.max() <= 1.0 + 1e-5
        assert min(float(f.min()) for f in tumour.fractions.values()) >= 0.0


def test_mass_effect_moves_the_ventricles_away(high: list[Case]) -> None:
    plan, warp, _, _ = max(high, key=lambda case: case[0].push.strength * case[0].core_ml)
    centre = np.reshape(plan.push.centre_mm, (3, 1, 1, 1))
    distances = []
    for this in (warp, warp.pushed(plan.push)):
        look = scout(this, GRID)
        at = look.grid.points_mm()
        away = np.linalg.norm(at - centre, axis=0)
        weight = (look.ventricle_mm < 3.0) * (away < 3.0 * plan.push.reach_mm) * (look.brain > 0.5)
        distances.append(float(np.average(away, weights=weight)))
    assert distances[1] > distances[0] + 0.5


def test_an_unknown_grade_is_refused() -> None:
    rng = np.random.default_rng(0)
    look = scout(draw_warp(rng, (0.0, -21.0, 10.5), brain_ml=1200.0), GRIDS["ms"].respaced(8.0))
    with pytest.raises(InputError, match="grade must be one of HGG, LGG, got hgg"):
        plan_glioma(rng, look, grade="hgg")
