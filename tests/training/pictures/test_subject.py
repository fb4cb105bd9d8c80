from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.training.pictures import PicturedSubject
from monai_transfer.training.pictures.subject import View, background_of, best_views

WHOLE = (slice(0, 4), slice(0, 5), slice(0, 6))


@pytest.mark.parametrize(
    ("plane", "voxel", "place"),
    [
        # x grows to the patient's right, y to the front, z upwards: all to the right or upwards
        ("axial", (3, 4, 2), "top right"),
        ("axial", (0, 4, 2), "top left"),
        ("coronal", (3, 2, 0), "bottom right"),
        ("coronal", (0, 2, 5), "top left"),
        ("sagittal", (2, 4, 5), "top right"),
        ("sagittal", (2, 0, 0), "bottom left"),
    ],
)
def test_a_slice_shows_the_patient_s_left_on_the_left_and_the_front_or_top_above(
    plane, voxel, place
):
    volume = np.zeros((4, 5, 6))
    volume[voxel] = 1
    cut = View(plane, 2, WHOLE, (1.0, 1.0, 1.0)).cut(volume)
    row, column = np.argwhere(cut)[0]  # rows from bottom to top
    assert ("top" if row > 0 else "bottom", "right" if column > 0 else "left") == tuple(
        place.split()
    )


def test_the_size_of_a_slice_is_in_mm_of_its_own_axes():
    sizes = {
        plane: View(plane, 0, WHOLE, (1.0, 2.0, 4.0)).size_mm
        for plane in ("axial", "coronal", "sagittal")
    }
    assert sizes == {"axial": (4, 10), "coronal": (4, 24), "sagittal": (10, 24)}


def test_the_slices_go_through_the_largest_labelled_area(subject):
    views = best_views(subject)
    assert {plane: view.index for plane, view in views.items()} == {
        "axial": 17,
        "coronal": 31,
        "sagittal": 13,
    }


def test_without_truth_the_slices_follow_the_prediction_and_then_the_head(subject):
    empty = np.zeros_like(subject.truth)
    for truth in (None, empty):
        predicted = best_views(replace(subject, truth=truth))
        assert predicted["coronal"].index == 33  # shifted by 2
        neither = best_views(replace(subject, truth=truth, prediction=None))
        assert neither["coronal"].index == 25
    assert best_views(replace(subject, truth=empty, prediction=empty))["axial"].index == 15


def test_the_box_is_the_head_with_a_margin_even_if_voxels_fall_below_the_background(subject):
    image = subject.image().copy()
    image[20, 25, 15] = -7  # interpolation undershoot
    box = best_views(replace(subject, images={"flair": image}))["axial"].box
    head = subject.image() > 0
    for axis, part in enumerate(box):
        line = np.flatnonzero(head.any(axis=tuple(i for i in range(3) if i != axis)))
        assert part.start == max(line[0] - 4, 0)
        assert part.stop == min(line[-1] + 5, head.shape[axis])


def test_an_image_without_head_is_shown_whole():
    subject = PicturedSubject("blank", {"t1": np.zeros((4, 5, 6))})
    assert best_views(subject)["axial"].box == WHOLE


def test_the_caption_shows_dice_and_what_is_undefined(subject):
    assert subject.caption == "sub-01   Dice: enhancing 0.50, core n/a"
    assert replace(subject, dice={}).caption == "sub-01"


def test_the_first_image_is_the_default_and_another_needs_its_name(subject):
    assert subject.image() is subject.images["flair"]
    assert subject.image("t1") is subject.images["t1"]
    with pytest.raises(InputError, match=r"sub-01: modality must be one of flair, t1, got flare"):
        subject.image("flare")


@pytest.mark.parametrize(
    "volumes",
    [
        {"images": {}},
        {"images": {"t1": np.zeros((4, 4))}},
        {"images": {"t1": np.zeros((4, 4, 4)), "t2": np.zeros((4, 4, 5))}},
        {"images": {"t1": np.zeros((4, 4, 4))}, "prediction": np.zeros((1, 4, 4, 4))},
    ],
    ids=["no image", "2D", "two grids", "channel axis"],
)
def test_volumes_that_do_not_fit_are_refused_by_the_subject_s_name(volumes):
    with pytest.raises(InputError, match=r"sub-02: volumes must share one shape \(x, y, z\)"):
        PicturedSubject("sub-02", **volumes)


@pytest.fixture(scope="module")
def real_flair(real):
    path = real / "openms-cs/sub-cs19/anat/sub-cs19_space-MNI_FLAIR.nii.gz"
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj)


def test_a_real_brain_fills_its_picture(real_flair):
    assert real_flair.min() < background_of(real_flair) == 0  # the trap: undershoot
    box = best_views(PicturedSubject("sub-cs19", {"flair": real_flair}))["axial"].box
    shown = real_flair[box]
    assert shown.size < 0.6 * real_flair.size
    assert np.count_nonzero(shown) == np.count_nonzero(real_flair)
