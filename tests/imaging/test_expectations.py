from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from monai_transfer.imaging import RECIPES, check_prepared
from monai_transfer.imaging.mni152 import CENTRE_MM


def told(*arguments: Any, **named: Any) -> list[str]:
    return [finding.told for finding in check_prepared(*arguments, **named)]


def brain(*, spacing_mm: float = 4.0, radius_mm: float = 70.0) -> np.ndarray:
    """A ball of 1.4 L in the middle of a box, as a brain, (1, x, y, z)."""
    n = int(200 / spacing_mm)
    axis = (np.arange(n) - (n - 1) / 2) * spacing_mm
    away = np.hypot(np.hypot(axis[:, None, None], axis[:, None]), axis)
    return (100.0 * (away < radius_mm))[None]


def in_mni(image: np.ndarray, *, spacing_mm: float = 4.0) -> np.ndarray:
    """An affine that has the image's middle where the template's brain is."""
    affine = np.diag([spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.array(CENTRE_MM) - spacing_mm * (np.array(image.shape[1:]) - 1) / 2
    return affine


def coarse(name: str):
    """A recipe whose images are 4 mm."""
    from dataclasses import replace

    recipe = RECIPES[name]
    return replace(recipe, preparation=replace(recipe.preparation, spacing_mm=(4.0,) * 3))


@pytest.mark.parametrize("name", ["k19", "gl20", "g17", "z22_ms"])
def test_an_image_that_was_prepared_so_is_passed(name):
    image = brain()
    assert told(image, in_mni(image), recipe=coarse(name)) == []


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_the_order_of_storage_is_no_fault(axis):
    image = brain()
    affine = in_mni(image)
    flip = np.eye(4)
    flip[axis - 1, axis - 1], flip[axis - 1, 3] = -1, image.shape[axis] - 1
    turned = affine @ flip @ np.eye(4)[[1, 2, 0, 3]]
    assert told(image, turned, recipe=coarse("k19")) == []


def test_a_whole_head_is_noticed_with_and_without_noise_around_it():
    rng = np.random.default_rng(0)
    noisy = brain() + rng.rayleigh(3, brain().shape)
    (fault,) = told(noisy, in_mni(noisy), recipe=coarse("k19"))
    assert fault == "0 % of the voxels are 0: the brain is not extracted"
    head = brain(radius_mm=88)  # 2.85 L
    (fault,) = told(head, in_mni(head), recipe=coarse("gl20"))
    assert fault.endswith("mL are not 0: more than a brain")
    assert 2750 < float(fault.split()[0]) < 2950


def test_a_whole_head_is_what_zoetmulder_wants():
    noisy = brain(radius_mm=88) + 1
    assert told(noisy, in_mni(noisy), recipe=coarse("z22_stroke")) == []


def test_other_voxels_are_noticed():
    image = brain()
    (fault,) = told(image, in_mni(image), recipe=RECIPES["k19"])
    assert fault == "voxels of 4×4×4 mm, not 1×1×1 mm"
    thick = np.diag([0.9, 0.9, 3.0, 1.0])
    faults = told(image[:, ::2], thick, recipe=RECIPES["gl20"])
    assert faults[0] == "voxels of 0.9×0.9×3 mm, not 1×1×1 mm"


def test_another_space_is_noticed():
    image = brain()
    sri24 = in_mni(image)
    sri24[:3, 3] += [-119, 128, 64.5]
    (fault,) = told(image, sri24, recipe=coarse("k19"))
    assert fault == (
        "the brain's centre at (-119, 106, 74) mm, not near (0, -22, 10): not in MNI space"
    )
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("x", 14, degrees=True).as_matrix()
    (fault,) = told(image, oblique @ in_mni(image), recipe=coarse("z22"))
    assert fault == "axes turned by 14° from the template's: not in MNI space"
    assert told(image, oblique @ sri24, recipe=RECIPES["g17"]) == []


def test_a_brain_that_was_standardised_already_is_noticed():
    rng = np.random.default_rng(1)
    image = np.where(brain() > 0, rng.standard_normal(brain().shape), 0)
    (fault,) = told(image, in_mni(image), recipe=coarse("k19"))
    assert fault == "50 % of the brain are below 0, where 0 is the background"


def test_undershoot_of_interpolation_is_no_fault():
    image = brain()
    inside = np.argwhere(image[0] > 0)
    image[(0, *inside[::40].T)] = -1.0
    assert told(image, in_mni(image), recipe=coarse("k19")) == []


def test_several_faults_are_all_told():
    image = np.full((2, 60, 60, 20), 5, np.int16)
    affine = np.diag([0.7, 0.7, 5.0, 1.0])
    assert len(told(image, affine, recipe=RECIPES["gl20"])) == 2


def test_what_is_judged_by_rule_of_thumb_is_not_sure():
    away = in_mni(brain())
    away[:3, 3] += 60
    (finding,) = check_prepared(brain(), away, recipe=coarse("k19"))
    assert "not in MNI space" in finding.told
    assert not finding.sure
    (finding,) = check_prepared(brain() - 200.0 * (brain() > 0), away, recipe=coarse("gl20"))
    assert "below 0" in finding.told
    assert not finding.sure
    found = check_prepared(brain() + 1, away, recipe=RECIPES["gl20"])
    assert [finding.sure for finding in found] == [True, True]


@pytest.mark.parametrize("subject", ["sub-cs07", "sub-cs19"])
def test_real_scans_in_mni_space_pass(subject, real):
    import nibabel as nib

    file = nib.load(real / f"openms-cs/{subject}/anat/{subject}_space-MNI_T1w.nii.gz")
    image = np.asarray(file.dataobj)[None]
    assert told(image, file.affine, recipe=RECIPES["k19"]) == []


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("openms-long/sub-lg12/ses-1/anat/sub-lg12_ses-1_FLAIR.nii.gz", 3),
        ("tcga-lgg/sub-DU7294/anat/sub-DU7294_space-SRI_FLAIR.nii.gz", 1),
    ],
)
def test_real_scans_that_were_not_prepared_so_are_noticed(file, count, real):
    import nibabel as nib

    scan = nib.load(real / file)
    faults = told(np.asarray(scan.dataobj)[None], scan.affine, recipe=RECIPES["k19"])
    assert len(faults) == count, faults
