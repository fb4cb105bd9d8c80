"""Infarcts: how large, where, what they look like, and of a given shape."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image
from monai_transfer.simulation import simulate_stroke, simulate_subject
from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.infarcts import Place, score_infarct
from monai_transfer.simulation.pathology import Pathology
from monai_transfer.simulation.protocols import PROTOCOLS, VOLUMES
from monai_transfer.simulation.stroke import draw_infarcts, draw_stroke, stroke_of_mask
from monai_transfer.simulation.structures import below_tentorium, brain_stem
from monai_transfer.simulation.territories import KINDS
from monai_transfer.simulation.tissues import tissue


@pytest.fixture(scope="module")
def patients(brain: Anatomy, brain_mm: np.ndarray) -> list[Pathology]:
    return [
        draw_stroke(np.random.default_rng([3, seed]), brain, template_mm=brain_mm)
        for seed in range(24)
    ]


def place(brain: Anatomy, brain_mm: np.ndarray) -> Place:
    none = np.zeros(int(brain.brain.sum()), np.float32)
    return Place(brain_mm[:, brain.brain], brain.gm[brain.brain], none, none)


def test_volumes_have_the_median_and_mean_of_atlas() -> None:
    totals = [
        sum(infarct.volume_ml for infarct in draw_infarcts(np.random.default_rng(seed)))
        for seed in range(1500)
    ]
    assert np.median(totals) == pytest.approx(5.0, rel=0.3)
    assert np.mean(totals) == pytest.approx(21.0, rel=0.25)
    assert min(totals) >= 0.01
    assert max(totals) <= 284.1


def test_the_primary_lesion_is_the_largest_and_many_patients_have_others() -> None:
    drawn = [draw_infarcts(np.random.default_rng(seed)) for seed in range(300)]
    for infarcts in drawn:
        sizes = [infarct.volume_ml for infarct in infarcts]
        assert sizes == sorted(sizes, reverse=True)
    assert 0.35 < np.mean([len(infarcts) > 1 for infarcts in drawn]) < 0.65
    assert {infarct.kind for infarcts in drawn for infarct in infarcts} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_infarct_stays_on_its_side_and_in_its_part_of_the_brain(
    brain: Anatomy, brain_mm: np.ndarray, kind: str
) -> None:
    here = place(brain, brain_mm)
    below = below_tentorium(here.template_mm)
    stem = brain_stem(brain, brain_mm)[brain.brain]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        score = score_infarct(rng, here, kind, volume_ml=5.0)
        core = score > np.sort(score)[-200]
        assert (
            abs(np.sign(here.template_mm[0][core]).mean()) > 0.7
        )  # those of the brain stem may touch the midline
        inside = {"cerebellar": below & ~stem, "brain stem": stem}.get(kind, ~below & ~stem)
        assert inside[core].mean() > 0.85


def test_every_patient_has_a_lesion_from_small_to_large(
    patients: list[Pathology], brain: Anatomy
) -> None:
    for patient in patients:
        assert patient.label.any()
        assert set(np.unique(patient.label)) == {0, 1}
        assert not (patient.label.astype(bool) & ~brain.brain).any()
    loads = [p.label.sum() * brain.grid.voxel_mm3 / 1000.0 for p in patients]
    assert min(loads) < 4.0
    assert max(loads) > 20.0


def test_fractions_never_exceed_the_voxel_and_fill_the_label(patients: list[Pathology]) -> None:
    for patient in patients:
        total = np.sum(list(patient.fractions.values()), axis=0)
        assert total.min() >= 0.0
        assert total.max() <= 1.0 + 1e-5
        assert total[patient.label == 1].mean() > 0.7


def test_a_patients_lesions_are_of_one_age(patients: list[Pathology]) -> None:
    ages = [
        (bool(p.fractions["infarct"].any()), bool(p.fractions["gliosis"].any())) for p in patients
    ]
    assert set(ages) == {(True, False), (False, True)}
    assert 0.0 < np.mean([subacute for subacute, _ in ages]) < 0.6


def test_a_cavity_lies_within_its_gliotic_rim(patients: list[Pathology]) -> None:
    for patient in patients:
        cavity = patient.fractions["cavity"] > 0.5
        if cavity.sum() < 100:
            continue
        depth = ndimage.distance_transform_edt(patient.label)
        rim = (patient.label == 1) & (patient.fractions["gliosis"] > 0.5)
        assert depth[cavity].mean() > depth[rim].mean()


def test_lesions_are_apart(brain: Anatomy, brain_mm: np.ndarray) -> None:
    counts = []
    for seed in range(8):
        rng = np.random.default_rng([9, seed])
        label = draw_stroke(rng, brain, template_mm=brain_mm).label
        counts.append(ndimage.label(label, np.ones((3, 3, 3)))[1])
    assert max(counts) > 1


@pytest.mark.parametrize("protocol", VOLUMES)
def test_on_t1_a_cavity_is_nearly_fluid_and_a_subacute_infarct_darker_than_cortex(
    protocol: str,
) -> None:
    scanner = PROTOCOLS[protocol]
    see = scanner.seeing("t1")
    names = ("csf", "cavity", "infarct", "gliosis", "gm", "wm")
    signals = [abs(see(tissue(name, scanner.field_tesla))) for name in names]
    assert signals == sorted(signals)
    assert signals[1] < 0.35 * signals[-1]
    assert 0.3 * signals[-1] < signals[2] < 0.65 * signals[-1]


def test_lesions_are_dark_on_the_stored_t1() -> None:
    ratios = []
    for index in range(8):
        subject = simulate_subject("stroke", index, spacing_mm=4.0)
        image, lesion = subject.image[0], subject.label > 0
        if lesion.sum() >= 20:
            ratios.append(np.median(image[lesion]) / np.median(image[(image > 0) & ~lesion]))
    assert len(ratios) >= 3
    assert max(ratios) < 0.9


def ball(radius_mm: float, centre: tuple[int, int, int]) -> Image:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-90.0, -125.0, -71.0)
    at = 2.0 * np.indices((91, 109, 91)) + affine[:3, 3].reshape(3, 1, 1, 1)
    offset = at - np.reshape(centre, (3, 1, 1, 1))
    return Image((np.linalg.norm(offset, axis=0) < radius_mm).astype(np.uint8), affine)


def test_a_given_lesion_comes_to_the_same_place_of_the_template(
    brain: Anatomy, brain_mm: np.ndarray
) -> None:
    mask = ball(15.0, (-40, -10, 25))
    rng = np.random.default_rng(0)
    label = stroke_of_mask(rng, brain, template_mm=brain_mm, mask=mask).label > 0
    distance = np.linalg.norm(brain_mm - np.reshape((-40, -10, 25), (3, 1, 1, 1)), axis=0)
    assert distance[label].max() < 16.5
    solid = brain.brain & (brain.csf < 0.2) & (distance < 13.0)
    assert label[solid].mean() > 0.98


def test_a_mask_without_lesion_is_refused() -> None:
    empty = Image(np.zeros((5, 5, 5), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="lesion mask must hold some lesion"):
        simulate_stroke(empty, spacing_mm=8.0)


def test_a_real_lesion_keeps_its_size_and_side(real: Path) -> None:
    mask = read_image(real / "lesymap" / "sub-ls003_space-ch2_label-lesion_mask.nii.gz")
    subject = simulate_stroke(mask, spacing_mm=4.0)
    volume_ml = subject.label.sum() * subject.grid.voxel_mm3 / 1000.0
    # the template's brain is half again as large as a person's
    assert 0.4 < volume_ml / (mask.voxels.sum() / 1000.0) < 1.1
    x = np.argwhere(subject.label).mean(axis=0)[0]
    assert x < subject.label.shape[0] / 2  # on the left, as the mask
