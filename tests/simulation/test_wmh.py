"""Hyperintensities of small vessel disease: how much, where, and that they grow."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.pathology import Pathology
from monai_transfer.simulation.tissues import WMH_TISSUES
from monai_transfer.simulation.wmh import draw_volumes, draw_wmh

VOLUMES_ML = (1.5, 8.0, 40.0)


@pytest.fixture(scope="module")
def patients(brain: Anatomy) -> list[list[Pathology]]:
    """Six patients, each with little, some and much."""
    return [
        draw_wmh(np.random.default_rng([11, seed]), brain, volumes_ml=VOLUMES_ML)
        for seed in range(6)
    ]


def together(pathology: Pathology) -> np.ndarray:
    return np.sum(list(pathology.fractions.values()), axis=0)


def test_volumes_have_the_heavy_tail_of_patients_and_grow_more_where_there_is_more() -> None:
    drawn = np.array([draw_volumes(np.random.default_rng(seed)) for seed in range(2000)])
    now, grown = drawn[:, 0], drawn[:, 1] - drawn[:, 0]
    # a label on slices of 6 mm keeps about four fifths: median 7, mean 12 mL
    assert np.median(now) == pytest.approx(8.5, rel=0.1)
    assert now.mean() == pytest.approx(14.7, rel=0.1)
    assert now.min() >= 0.3
    assert 60.0 < np.percentile(now, 99) < now.max() <= 150.0
    assert grown.min() > 0.0
    assert np.median(grown) == pytest.approx(1.2, abs=0.3)
    assert np.median(grown[now > 20.0]) > 3.0 * np.median(grown[now < 5.0])


def test_the_volume_asked_for_is_drawn(patients: list[list[Pathology]], brain: Anatomy) -> None:
    for patient in patients:
        for pathology, volume_ml in zip(patient, VOLUMES_ML, strict=True):
            drawn_ml = together(pathology).sum() * brain.grid.voxel_mm3 / 1000.0
            assert drawn_ml == pytest.approx(volume_ml, rel=0.5)


def test_a_lesion_never_shrinks_and_new_ones_appear(patients: list[list[Pathology]]) -> None:
    counts = []
    for patient in patients:
        for earlier, later in pairwise(patient):
            assert (together(later) >= together(earlier) - 1e-6).all()
            assert not (earlier.label.astype(bool) & ~later.label.astype(bool)).any()
        counts.append([ndimage.label(pathology.label)[1] for pathology in patient[:2]])
    few, some = np.mean(counts, axis=0)
    assert some > 1.5 * few


def test_lesions_lie_in_white_matter_and_not_in_fluid(
    patients: list[list[Pathology]], brain: Anatomy
) -> None:
    for pathology in (p for patient in patients for p in patient):
        lesion = pathology.label == 1
        assert lesion.any()
        assert not (lesion & ~brain.brain).any()
        assert brain.wm[lesion].min() > 0.5
        assert set(pathology.fractions) == set(WMH_TISSUES)
        total = together(pathology)
        assert 0.0 <= total.min() <= total.max() <= 1.0 + 1e-5


def test_they_line_the_ventricles_and_spare_what_the_disease_spares(
    patients: list[list[Pathology]], brain: Anatomy
) -> None:
    white = brain.wm > 0.7
    near = brain.ventricle_mm < 6.0
    spared = brain.structures["spared"] > 0.5
    lesion = np.sum([patient[1].label for patient in patients], axis=0)
    assert lesion[near & white & ~spared].mean() > 3.0 * lesion[~near & white & ~spared].mean()
    assert (lesion[~near & white] > 0).sum() > 200  # and yet in deep white matter, too
    assert lesion[spared & white].mean() < 0.02 * lesion[near & white & ~spared].mean()


def test_many_flow_together(patients: list[list[Pathology]]) -> None:
    def largest_share(pathology: Pathology) -> float:
        sizes = np.bincount(ndimage.label(pathology.label)[0].ravel())[1:]
        return float(sizes.max() / sizes.sum())

    some, many = (np.median([largest_share(patient[at]) for patient in patients]) for at in (0, 2))
    assert many > some
    assert many > 0.35


def test_the_middle_of_a_lesion_is_worse_than_its_edge(patients: list[list[Pathology]]) -> None:
    for patient in patients:
        pathology = patient[-1]
        lesion = pathology.label > 0
        depth = ndimage.distance_transform_edt(lesion)
        dense = pathology.fractions["dense_wmh"] / np.maximum(together(pathology), 1e-6)
        assert dense[depth > 2].mean() > dense[lesion & (depth == 1)].mean() + 0.1
