import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Flip, NormalizeIntensity

from monai_transfer.errors import InputError
from monai_transfer.imaging import (
    StandardScale,
    landmarks,
    learn_standard_scale,
    scale_percentiles,
    standardise,
    to_standard_scale,
)
from monai_transfer.imaging.intensity import DARKEST
from monai_transfer.transforms import (
    ScalePercentiles,
    ScalePercentilesd,
    StandardiseBrain,
    StandardiseBraind,
    ToStandardScale,
    ToStandardScaled,
)


def line(*values: float) -> np.ndarray:
    """One channel of voxels in a row."""
    return np.array(values, np.float64).reshape(1, -1, 1, 1)


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


def test_percentiles_of_the_brain_are_those_of_its_filled_mask(phantom):
    holed = phantom.images.copy()
    holed[:, 10, 13, 9] = 0
    scaled = ScalePercentiles(0.1, 99.9, over="brain")(holed)
    np.testing.assert_array_equal(scaled, scale_percentiles(holed, (0.1, 99.9), mask=phantom.brain))
    assert (scaled[:, 10, 13, 9] == DARKEST).all()


def test_percentiles_of_all_voxels_count_the_background(phantom):
    scaled = ScalePercentiles(2, 98, over="all")(MetaTensor(phantom.images))
    np.testing.assert_array_equal(scaled.numpy(), scale_percentiles(phantom.images, (2, 98)))
    assert isinstance(scaled, MetaTensor)


@pytest.mark.parametrize("percents", [(98, 2), (50, 50), (-1, 99), (1, 101), (float("nan"), 9)])
def test_percentiles_that_do_not_rise_are_refused(percents):
    with pytest.raises(InputError, match=r"percentiles must rise within \[0, 100\], got"):
        ScalePercentiles(*percents, over="all")


def test_a_standard_scale_is_applied_by_modality(phantom):
    names = ["t1", "t1c", "t2", "flair"]
    scale = learn_standard_scale([landmarks(phantom.images, phantom.brain)], names)
    expected = to_standard_scale(phantom.images, phantom.brain, scale=scale, modalities=names)
    np.testing.assert_array_equal(ToStandardScale(scale, names)(phantom.images), expected)
    swapped = ToStandardScale(scale, names[::-1])(phantom.images[::-1].copy())
    np.testing.assert_array_equal(swapped, expected[::-1])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (ScalePercentilesd("image", 1, 99, over="all"), "^sub-7: channel 0 must have different"),
        (
            ToStandardScaled("image", StandardScale({}, 1), modalities=["t1"]),
            "^sub-7: modality must be one of .*, got t1",
        ),
    ],
)
def test_every_dictionary_form_names_the_subject(transform, message):
    with pytest.raises(InputError, match=message):
        transform({"image": torch.ones(1, 3, 3, 3), "subject": "sub-7"})
