from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.spatial.transform import Rotation

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image
from monai_transfer.imaging.registration import (
    LinearRegistration,
    LinearTransform,
    Registration,
    from_ras,
    read_transform,
    shared_information,
)

Scan = Callable[[Image, np.ndarray], tuple[Image, LinearTransform]]
Errors = Callable[[LinearTransform, LinearTransform, Image], np.ndarray]


def pose(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


TILTED = pose((8, -5, 10), (6, -9, 4))


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_another_contrast_on_thick_tilted_slices_is_found(
    brain: dict[str, Image], elsewhere: Scan, error_mm: Errors, kind: str
):
    moving, truth = elsewhere(brain["t1"], TILTED)
    found = LinearRegistration(kind)(brain["flair"], moving)
    assert error_mm(found, truth, brain["t1"]).max() < 0.8
    scales = np.linalg.svd(found.matrix[:3, :3])[1]
    assert (np.abs(scales - 1) < 1e-9).all() == (kind == "rigid")


@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [((30, 0, 0), (0, 40, 0)), ((17, 17, -17), (-23, -23, 23))],
)
def test_a_tilt_of_30_degrees_and_a_shift_of_40_mm_are_found(
    brain: dict[str, Image], elsewhere: Scan, error_mm: Errors, degrees, shift_mm
):
    moving, truth = elsewhere(brain["t1"], pose(degrees, shift_mm))
    found = LinearRegistration("rigid")(brain["flair"], moving)
    assert error_mm(found, truth, brain["t1"]).mean() < 0.5


def test_an_affine_map_finds_a_stretched_head(
    brain: dict[str, Image], elsewhere: Scan, error_mm: Errors
):
    stretched = TILTED @ np.diag([1.06, 0.95, 0.93, 1.0])
    moving, truth = elsewhere(brain["t1"], stretched)
    found = LinearRegistration()(brain["flair"], moving)
    assert error_mm(found, truth, brain["t1"]).mean() < 0.6
    rigid = LinearRegistration("rigid")(brain["flair"], moving)
    assert error_mm(rigid, truth, brain["t1"]).mean() > 1


@pytest.mark.parametrize("axes", ["LAS", "PIR"])
def test_how_the_images_are_stored_makes_no_difference_that_matters(
    brain: dict[str, Image], elsewhere: Scan, error_mm: Errors, axes: str
):
    def stored(image: Image) -> Image:
        turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
        affine = image.affine @ inv_ornt_aff(turn, image.shape)
        return Image(apply_orientation(image.voxels, turn), affine)

    moving, truth = elsewhere(brain["t1"], TILTED)
    found = LinearRegistration("rigid")(stored(brain["flair"]), stored(moving))
    assert error_mm(found, truth, brain["t1"]).max() < 0.8


def test_the_same_images_give_the_same_bits_and_are_left_alone(
    brain: dict[str, Image], elsewhere: Scan
):
    moving, _ = elsewhere(brain["t1"], TILTED)
    before = moving.voxels.copy()
    once, again = (LinearRegistration()(brain["flair"], moving).matrix for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(moving.voxels, before)


def test_what_moves_outside_the_mask_does_not_matter(
    brain: dict[str, Image], elsewhere: Scan, error_mm: Errors
):
    moving, truth = elsewhere(brain["t1"], TILTED)
    middle = brain["flair"].shape[0] // 2
    half = np.zeros(brain["flair"].shape, np.uint8)
    half[middle + 5 :] = 1
    half[brain["flair"].voxels == 0] = 0
    torn = brain["flair"].voxels.copy()
    torn[:middle] = np.roll(torn[:middle], 4, axis=1)  # the other half lies 8 mm away
    mask = Image(half, brain["flair"].affine)
    found = LinearRegistration("rigid")(brain["flair"].with_voxels(torn), moving, fixed_mask=mask)
    assert error_mm(found, truth, mask).mean() < 0.5
    unmasked = LinearRegistration("rigid")(brain["flair"].with_voxels(torn), moving)
    assert error_mm(unmasked, truth, mask).mean() > 0.5


def test_images_share_the_more_the_better_they_are_aligned(
    brain: dict[str, Image], elsewhere: Scan
):
    moving, truth = elsewhere(brain["t1"], TILTED)
    off = [truth.then(from_ras(pose((0, 0, 0), (mm, 0, 0)))) for mm in (0.0, 2.0, 6.0, 500.0)]
    shares = [shared_information(brain["flair"], moving, transform=each) for each in off]
    assert shares[0] > 1.1 * shares[1] > 1.2 * shares[2] > shares[3] == 0


def test_ours_is_a_registration():
    assert isinstance(LinearRegistration(), Registration)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="kind must be one of affine, rigid, got ridgid"):
        LinearRegistration("ridgid")


def test_a_mask_in_another_place_is_refused(brain: dict[str, Image]):
    mask = Image(np.ones((4, 4, 4), np.uint8), np.diag([1.0, 1, 1, 1]) + 900 * np.eye(4, k=3))
    with pytest.raises(InputError, match="mask must hold voxels of the fixed image"):
        LinearRegistration()(brain["t1"], brain["flair"], fixed_mask=mask)


def test_an_image_without_contrast_is_refused(brain: dict[str, Image]):
    flat = brain["t1"].with_voxels(np.zeros(brain["t1"].shape))
    with pytest.raises(InputError, match="moving image must vary"):
        LinearRegistration()(brain["t1"], flat)


@pytest.mark.parametrize(
    ("subject", "session", "modality", "given"),
    [
        ("lg12", 1, "T1w", False),
        ("lg12", 1, "T2w", False),
        ("lg12", 2, "T1w", False),
        ("lg20", 2, "T1w", False),
        ("lg12", 2, "T1w", True),
    ],
)
def test_raw_clinical_pairs_come_within_300_micrometres_of_the_authors_maps(
    real: Path, error_mm: Errors, subject: str, session: int, modality: str, *, given: bool
):
    folder = real / f"openms-long/sub-{subject}/ses-{session}"
    stem = f"sub-{subject}_ses-{session}_"
    fixed, moving, mask = (
        read_image(folder / f"anat/{stem}{name}.nii.gz")
        for name in ("FLAIR", modality, "space-FLAIR_desc-brain_mask")
    )
    truth = read_transform(folder / f"xfm/{stem}from-{modality}_to-FLAIR_mode-image_xfm.txt")
    found = LinearRegistration()(fixed, moving, fixed_mask=mask if given else None)
    assert error_mm(found, truth, mask).mean() < 0.3
