import json
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image
from monai_transfer.imaging.brain import unet_brain_mask
from monai_transfer.simulation import RawSeries, simulate_raw
from monai_transfer.simulation.head_images import draw_pair
from monai_transfer.simulation.head_labels import HeadLabels, draw_head_labels

THREE_MM = np.diag([3.0, 3.0, 3.0, 1.0])
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MS = [
    ("sub-lg12_ses-1", ("FLAIR", "T1w", "T2w")),
    ("sub-lg12_ses-2", ("FLAIR", "T1w")),
    ("sub-lg20_ses-2", ("FLAIR", "T1w")),
]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.fixture(scope="module")
def unseen() -> HeadLabels:
    """A head of a seed that training does not use."""
    return draw_head_labels(np.random.default_rng(10_000))


def picture(head: HeadLabels, seed: int) -> tuple[Image, np.ndarray]:
    image, target = draw_pair(np.random.default_rng(seed), head)
    return Image(image, THREE_MM), target > 0.5


@pytest.fixture(scope="module")
def raw() -> Mapping[str, RawSeries]:
    return simulate_raw("ms", 0, seed=10_000, spacing_mm=2.0, protocol="1.5T-routine-5mm")


@pytest.mark.parametrize("modality", ["t1", "t2", "flair"])
def test_the_brain_of_simulated_patients_it_has_not_seen_is_found(modality, raw):
    series = raw[modality]
    assert dice(unet_brain_mask(Image(series.voxels, series.affine)), series.brain) > 0.94


def test_the_mask_is_one_piece_without_holes(unseen):
    mask = unet_brain_mask(picture(unseen, 2)[0])
    assert ndimage.label(mask)[1] == 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(mask), mask)


@pytest.mark.parametrize("codes", ["LAS", "LPS", "PIR"])
def test_the_order_in_which_voxels_are_stored_makes_no_difference(codes, unseen):
    image, _ = picture(unseen, 0)
    order = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    stored = nib.Nifti1Image(image.voxels, image.affine).as_reoriented(order)
    mask = unet_brain_mask(Image(np.asarray(stored.dataobj), stored.affine))
    back = nib.Nifti1Image(mask.astype(np.uint8), stored.affine)
    found = np.asarray(nib.as_closest_canonical(back).dataobj) > 0
    assert (found != unet_brain_mask(image)).mean() < 1e-4


def test_the_scale_of_the_scanner_makes_no_difference(unseen):
    image, _ = picture(unseen, 0)
    louder = image.with_voxels(1000.0 * image.voxels)
    assert (unet_brain_mask(louder) != unet_brain_mask(image)).mean() < 1e-4


def test_a_skull_stripped_image_keeps_its_own_mask(unseen):
    image, target = picture(unseen, 0)
    stripped = np.where(target, image.voxels + 1.0, 0.0)
    stripped[tuple(np.argwhere(target).mean(axis=0).astype(int))] = 0
    np.testing.assert_array_equal(unet_brain_mask(image.with_voxels(stripped)), target)


@pytest.mark.parametrize(
    ("value", "fragment"),
    [(0.0, "show a head with a brain, got nothing like one"), (np.nan, "be finite, got NaN")],
)
def test_what_holds_no_brain_is_refused(value, fragment):
    with pytest.raises(InputError, match=fragment):
        unet_brain_mask(Image(np.full((20, 20, 20), value, np.float32), THREE_MM))


def _ms(real: Path, session: str, name: str) -> tuple[Image, np.ndarray]:
    """A raw scan, and the given mask of the FLAIR on its grid."""
    folder = real / "openms-long" / session.replace("_", "/") / "anat"
    image = read_image(folder / f"{session}_{name}.nii.gz")
    mask = read_image(folder / f"{session}_space-FLAIR_desc-brain_mask.nii.gz")
    if name == "FLAIR":
        return image, mask.voxels > 0
    pairs = json.loads((real / "registration_reference.json").read_text())["pairs"]
    pair = pairs[f"{session}: fixed FLAIR, moving {name}"]
    to_flair = np.linalg.inv(LPS @ pair["matrix_lps_fixed_to_moving"] @ LPS)
    matrix = np.linalg.inv(mask.affine) @ to_flair @ image.affine
    moved = ndimage.affine_transform(
        mask.voxels.astype(np.float32), matrix, output_shape=image.shape, order=1
    )
    return image, moved > 0.5


@pytest.mark.parametrize(
    ("session", "name"), [(session, name) for session, names in MS for name in names]
)
def test_the_brain_of_raw_scans_is_where_their_masks_are(session, name, real):
    image, given = _ms(real, session, name)
    assert dice(unet_brain_mask(image), given) > 0.95
