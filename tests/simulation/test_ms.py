"""Multiple-sclerosis lesions against the statistics of real masks."""

import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.ms import draw_burden, draw_ms
from monai_transfer.simulation.pathology import Pathology


@pytest.fixture(scope="module")
def patients(brain: Anatomy) -> list[Pathology]:
    return [draw_ms(np.random.default_rng([7, seed]), brain) for seed in range(10)]


def sizes_mm3(patients: list[Pathology], voxel_mm3: float) -> np.ndarray:
    sizes = []
    for patient in patients:
        components, _ = ndimage.label(patient.label, np.ones((3, 3, 3)))
        sizes.append(np.bincount(components.ravel())[1:] * voxel_mm3)
    return np.concatenate(sizes)


def test_loads_and_counts_follow_the_real_quantiles() -> None:
    burdens = [draw_burden(np.random.default_rng(seed)) for seed in range(400)]
    loads_ml = [(b.sizes_mm3.sum() + b.confluent_mm3) / 1000.0 for b in burdens]
    counts = [len(b.sizes_mm3) for b in burdens]
    # 30 consensus masks: .33/1.8/14.1/28.5/52.6 mL and 18/34/85/121/419 lesions
    assert np.percentile(loads_ml, [25, 50, 75]) == pytest.approx([1.8, 14.1, 28.5], rel=0.4)
    assert np.percentile(counts, [25, 50, 75]) == pytest.approx([34, 85, 121], rel=0.25)
    assert min(loads_ml) >= 0.33 - 1e-6
    assert max(loads_ml) <= 52.6 + 1e-6
    assert min(counts) >= 18
    assert max(counts) <= 419
    assert np.corrcoef(loads_ml, counts)[0, 1] > 0.3


def test_lesion_sizes_are_about_log_normal_with_a_heavy_tail() -> None:
    sizes = np.concatenate(
        [draw_burden(np.random.default_rng(seed)).sizes_mm3 for seed in range(200)]
    )
    # real: 6.5/17/47/125/251 mm³ at 25/50/75/90/95 %
    real = np.array([6.5, 17.0, 47.0, 125.0, 251.0])
    ratio = np.percentile(sizes, [25, 50, 75, 90, 95]) / real
    assert ratio.min() > 0.6
    assert ratio.max() < 1.7


def test_drawn_lesions_have_the_sizes_of_real_ones(
    patients: list[Pathology], brain: Anatomy
) -> None:
    sizes = sizes_mm3(patients, brain.grid.voxel_mm3)
    # at 2 mm nothing below 8 mm³ is seen; of the real ones above that, 30/88 mm³ at 50/75 %
    median, upper = np.percentile(sizes, [50, 75])
    assert 15.0 < median < 60.0
    assert 40.0 < upper < 180.0
    assert sizes.max() > 2000.0  # a confluent component


def test_lesions_lie_in_the_brain_and_not_in_fluid(
    patients: list[Pathology], brain: Anatomy
) -> None:
    for patient in patients:
        lesion = patient.label == 1
        assert lesion.any()
        assert not (lesion & ~brain.brain).any()
        assert brain.csf[lesion].max() < 0.5
        assert brain.wm[lesion].mean() > 0.6


def test_lesions_crowd_around_the_ventricles(patients: list[Pathology], brain: Anatomy) -> None:
    white = brain.wm > 0.5
    near = brain.ventricle_mm < 8.0
    lesion = np.sum([p.label for p in patients], axis=0)
    assert lesion[near & white].mean() > 3.0 * lesion[~near & white].mean()
    assert (lesion[~near & white] > 0).sum() > 500  # and yet elsewhere too


def test_tissue_fractions_never_exceed_the_voxel(patients: list[Pathology]) -> None:
    for patient in patients:
        assert set(patient.fractions) == {"faint_plaque", "plaque", "black_hole", "active_plaque"}
        total = np.sum(list(patient.fractions.values()), axis=0)
        assert total.min() >= 0.0
        assert total.max() <= 1.0 + 1e-5
        assert total[patient.label == 1].mean() > 0.5


def test_some_lesions_are_black_holes_and_few_are_active(patients: list[Pathology]) -> None:
    amount = {
        name: sum(float(p.fractions[name].sum()) for p in patients)
        for name in patients[0].fractions
    }
    total = sum(amount.values())
    assert 0.1 < amount["black_hole"] / total < 0.7
    assert 0.0 < amount["active_plaque"] / total < 0.1


def test_lesions_are_not_spheres(patients: list[Pathology]) -> None:
    components, count = ndimage.label(patients[0].label)
    sizes = np.bincount(components.ravel())
    elongations = []
    for index in np.flatnonzero(sizes[1 : count + 1] > 30) + 1:
        cloud = np.argwhere(components == index)
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(cloud.T)))
        elongations.append(spread[-1] / spread[0])
    assert np.median(elongations) > 1.4
