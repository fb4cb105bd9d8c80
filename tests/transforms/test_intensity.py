import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Flip, NormalizeIntensity

from monai_transfer.errors import InputError
from monai_transfer.imaging.intensity import DARKEST
from monai_transfer.transforms import StandardiseBrain, StandardiseBraind, standardise


def line(*values: float) -> np.ndarray:
    """One channel of voxels in a row."""
    return np.array(values, np.float64).reshape(1, -1, 1, 1)


def test_brain_voxels_become_z_scores_on_the_scale_from_0_to_1():
    # mean 6, SD 2 (values 4, 4, 8, 8); z = −1 or 1; (z + 4) / 8 = 0.375 or 0.625
    image = line(0, 4, 4, 8, 8, 0)
    scaled = standardise(image, image[0] != 0)
    np.testing.assert_allclose(scaled.ravel(), [0, 0.375, 0.375, 0.625, 0.625, 0], rtol=1e-6)
    assert scaled.dtype == np.float32


def test_what_lies_beyond_the_range_is_clipped():
    # 99 ones and one 101: mean 2, SD sqrt(99·1 + 99²)/10 = 9.95; z = 9.95 → 1; −0.1005 → 0.4874
    image = line(*[1.0] * 99, 101.0)
    scaled = standardise(image, np.ones(image.shape[1:], bool)).ravel()
    assert scaled[-1] == 1
    np.testing.assert_allclose(scaled[:-1], 0.5 - 1 / 9.9498744 / 8, rtol=1e-6)
    with_more_room = standardise(image, np.ones(image.shape[1:], bool), clip_sd=20).ravel()
    np.testing.assert_allclose(with_more_room[-1], 0.5 + 9.9498744 / 40, rtol=1e-6)


def test_the_darkest_brain_voxel_is_not_mistaken_for_background():
    # 99 ones and one −99: z of the last is −9.95, far below the range
    image = line(0.0, *[1.0] * 99, -99.0)
    scaled = standardise(image, image[0] != 0).ravel()
    assert scaled[0] == 0
    assert scaled[-1] == DARKEST == 2**-10


def test_it_is_monais_normalisation_of_non_zero_voxels_rescaled(phantom):
    theirs = NormalizeIntensity(nonzero=True, channel_wise=True)(torch.tensor(phantom.images))
    expected = np.where(phantom.images != 0, (theirs.numpy() / 8 + 0.5).clip(DARKEST, 1), 0)
    ours = standardise(phantom.images, phantom.brain)
    np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize(("gain", "offset"), [(1000.0, 0.0), (1e-4, 0.0), (3.0, -40.0)])
def test_the_scanners_scale_of_each_channel_does_not_matter(gain, offset, phantom):
    brain = phantom.brain
    other = phantom.images.astype(np.float64)
    other[1] = np.where(brain, gain * other[1] + offset, 0)
    np.testing.assert_allclose(
        standardise(other, brain), standardise(phantom.images, brain), atol=1e-6
    )


def test_a_hole_in_the_brain_is_standardised_and_the_background_is_exactly_zero(phantom):
    holed = phantom.images.copy()
    holed[2, 10, 13, 9] = 0
    scaled = StandardiseBrain()(holed)
    assert 0 <= scaled[2, 10, 13, 9] < 0.3  # far below the brain's mean, 0.5
    assert (scaled[:, ~phantom.brain] == 0).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1


def test_a_metatensor_keeps_its_geometry_and_history(phantom):
    image = MetaTensor(phantom.images, affine=np.diag([2.0, 2, 2, 1]), meta={"note": "kept"})
    flipped = Flip(0)(image)
    scaled = StandardiseBrain()(flipped)
    assert isinstance(scaled, MetaTensor)
    assert scaled.dtype == torch.float32
    assert scaled.meta["note"] == "kept"
    assert torch.equal(scaled.affine, flipped.affine)
    assert len(scaled.applied_operations) == 1
    np.testing.assert_allclose(
        scaled.numpy(), np.flip(standardise(phantom.images, phantom.brain), 1), atol=1e-6
    )


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_what_goes_in_comes_out(kind, phantom):
    image = kind(phantom.images.astype(np.float64))
    scaled = StandardiseBrain()(image)
    assert type(scaled) is type(image)
    assert str(scaled.dtype).endswith("float32")
    np.testing.assert_array_equal(np.asarray(image), phantom.images)  # the input is left alone


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (line(0, 0, 0), "brain mask must hold at least one voxel, got an empty mask"),
        (line(0, 5, 5), r"channel 0 must .* vary inside the brain, got mean 5.0, SD 0.0"),
        (line(1, 2, np.nan), "channel 0 must be finite"),
        (line(1, 2, -np.inf), "channel 0 must be finite"),
        (np.concatenate([line(1, 2, 3), line(0, 0, 0)]), "channel 1 must .* got mean 0.0, SD 0.0"),
    ],
    ids=["no brain", "constant", "NaN", "infinite", "an empty channel"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_an_image_that_cannot_be_standardised_is_refused(image, message):
    with pytest.raises(InputError, match=message):
        StandardiseBrain()(image)


@pytest.mark.parametrize("clip_sd", [0.0, -1.0, float("nan")])
def test_a_range_without_extent_is_refused(clip_sd):
    with pytest.raises(InputError, match="clip_sd must be above 0"):
        StandardiseBrain(clip_sd)


def test_the_dictionary_form_leaves_other_entries_alone(phantom):
    data = {"image": phantom.images, "label": phantom.label}
    result = StandardiseBraind("image")(data)
    np.testing.assert_array_equal(result["image"], StandardiseBrain()(phantom.images))
    assert result["label"] is phantom.label
    assert data["image"] is phantom.images


def test_the_dictionary_form_names_the_subject_or_else_the_file():
    constant = MetaTensor(
        torch.ones(1, 2, 2, 2), meta={"filename_or_obj": "/data/MS/patient03_T1W.nii.gz"}
    )
    with pytest.raises(InputError, match=r"^patient03_T1W\.nii\.gz: channel 0"):
        StandardiseBraind("image")({"image": constant})
    with pytest.raises(InputError, match=r"^patient03: channel 0"):
        StandardiseBraind("image")({"image": constant, "subject": "patient03"})
