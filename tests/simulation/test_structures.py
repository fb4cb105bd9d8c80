"""Labels of healthy anatomy: values, tissue, sides, sizes, and agreement with real label maps."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.structures import (
    BASAL_GANGLIA,
    NUCLEI,
    REGION_VALUES,
    STRUCTURE_VALUES,
    nuclei,
    region_label,
    structure_label,
    tissue_label,
)

# mL of both sides in healthy adults, widely (FIRST and FreeSurfer differ by a third)
VOLUMES_ML = {
    "thalamus": (9, 20),
    "caudate": (4, 11),
    "putamen": (5, 14),
    "pallidum": (1.5, 5),
    "hippocampus": (4, 11),
    "amygdala": (1.5, 5),
    "accumbens": (0.4, 2.5),
}


def millilitres(mask: np.ndarray, brain: Anatomy) -> float:
    return float(mask.sum()) * brain.grid.voxel_mm3 / 1000.0


def test_structures_have_sixteen_values_and_fill_the_brain(
    brain: Anatomy, brain_mm: np.ndarray
) -> None:
    label = structure_label(brain, brain_mm)
    assert sorted(STRUCTURE_VALUES.values()) == list(range(1, 17))
    assert set(np.unique(label)) == set(range(17))
    np.testing.assert_array_equal(label > 0, brain.brain)


def test_left_is_left_and_as_large_as_right(brain: Anatomy, brain_mm: np.ndarray) -> None:
    label = structure_label(brain, brain_mm)
    for name in NUCLEI:
        left, right = (label == STRUCTURE_VALUES[f"{side} {name}"] for side in ("left", "right"))
        assert brain_mm[0][left].max() < 0 <= brain_mm[0][right].min()
        assert 0.5 < left.sum() / right.sum() < 2.0


@pytest.mark.parametrize("name", NUCLEI)
def test_nuclei_have_about_the_size_of_real_ones(
    brain: Anatomy, brain_mm: np.ndarray, name: str
) -> None:
    low, high = VOLUMES_ML[name]
    assert low < millilitres(nuclei(brain, brain_mm)[name], brain) < high


def test_nuclei_do_not_overlap_and_hold_no_fluid(brain: Anatomy, brain_mm: np.ndarray) -> None:
    found = nuclei(brain, brain_mm)
    assert np.sum(list(found.values()), axis=0).max() == 1
    for name, inside in found.items():
        assert brain.csf[inside].max() < 0.5
        if name not in ("thalamus", "pallidum"):
            assert brain.gm[inside].min() > 0.4


def test_tissue_is_what_fills_most_of_a_voxel(brain: Anatomy) -> None:
    label = tissue_label(brain)
    np.testing.assert_array_equal(label > 0, brain.brain)
    for value, fraction in ((1, brain.csf), (2, brain.gm), (3, brain.wm)):
        assert fraction[label == value].min() >= 1.0 / 3.0 - 1e-6
        assert fraction[label == value].mean() > 0.7


def test_seven_regions_fill_the_brain_in_about_real_shares(
    brain: Anatomy, brain_mm: np.ndarray
) -> None:
    label = region_label(brain, brain_mm)
    np.testing.assert_array_equal(label > 0, brain.brain)
    assert sorted(REGION_VALUES.values()) == list(range(1, 8))
    found = {name: millilitres(label == value, brain) for name, value in REGION_VALUES.items()}
    assert 80 < found["cerebellum"] < 190
    assert 9 < found["brain stem"] < 35
    assert 20 < found["basal ganglia and thalami"] < 55
    assert 5 < found["ventricular csf"] < 80
    assert found["cortical grey matter"] > 250
    assert found["white matter"] > 250


def test_regions_agree_with_tissues_and_structures(brain: Anatomy, brain_mm: np.ndarray) -> None:
    regions, tissue = region_label(brain, brain_mm), tissue_label(brain)
    fluid = [REGION_VALUES["ventricular csf"], REGION_VALUES["extracerebral csf"]]
    np.testing.assert_array_equal(np.isin(regions, fluid), tissue == 1)
    assert (tissue[regions == REGION_VALUES["white matter"]] == 3).all()
    deep = nuclei(brain, brain_mm)
    inside = np.any([deep[name] for name in BASAL_GANGLIA], axis=0)
    share = regions[inside] == REGION_VALUES["basal ganglia and thalami"]
    assert share.mean() > 0.9  # the rest is brain stem, or fluid by tissue


def test_shapes_lie_where_two_real_people_have_them(real: Path) -> None:
    """Centres of structures about that of the thalami, which needs no registration."""
    freesurfer = {"caudate": (11, 50), "putamen": (12, 51), "pallidum": (13, 52)}
    for person in ("ss09", "ss13"):
        image = nib.as_closest_canonical(nib.load(real / "synthseg" / f"sub-{person}_dseg.nii.gz"))
        volume = np.asarray(image.dataobj)
        thalami = np.argwhere(np.isin(volume, (10, 49))).mean(axis=0)
        for name, (left, right) in freesurfer.items():
            there = [np.argwhere(volume == value).mean(axis=0) for value in (left, right)]
            found = np.mean(there, axis=0) - thalami
            wide = (there[1] - there[0])[0] / 2.0
            ours = np.mean([centre for centre, _ in NUCLEI[name]], axis=0)
            from_thalamus = ours - np.mean([centre for centre, _ in NUCLEI["thalamus"]], axis=0)
            assert abs(wide - ours[0]) < 5.0
            np.testing.assert_allclose(from_thalamus[1:], found[1:], atol=8.0)
