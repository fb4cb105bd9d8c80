import json

import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.ndimage import binary_fill_holes

from monai_transfer.errors import InputError
from monai_transfer.imaging import (
    StandardScale,
    landmarks,
    learn_standard_scale,
    read_image,
    read_standard_scale,
    to_standard_scale,
    write_standard_scale,
)
from monai_transfer.imaging.intensity import DARKEST
from monai_transfer.imaging.nyul import PERCENTS

SHAPE = (30, 32, 28)


def flair(seed: int, *, gain: float = 1.0, lesion_ml: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A FLAIR-like brain: fluid, white and grey matter, and lesions, as in real scans."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.linspace(-1, 1, n) for n in SHAPE)
    brain = (x[:, None, None] ** 2 + y[:, None] ** 2 + z**2) < 1
    count = int(brain.sum())
    tissue = rng.choice([0.35, 1.0, 1.12], p=[0.15, 0.4, 0.45], size=count)
    spread = np.where(tissue == 0.35, 0.1, np.where(tissue == 1.0, 0.08, 0.16))
    values = rng.normal(tissue, spread)
    white = np.flatnonzero(tissue == 1.0)
    lesions = white[: round(lesion_ml / 1200 * count)]
    values[lesions] = rng.normal(1.4, 0.15, lesions.size)
    image = np.zeros((1, *SHAPE), np.float32)
    image[0, brain] = gain * values.clip(0.02)
    where = np.zeros(SHAPE, bool)
    where.reshape(-1)[np.flatnonzero(brain)[lesions]] = True
    return image, where


def brain_of(image: np.ndarray) -> np.ndarray:
    return image[0] > 0


def learned(cohort: list[np.ndarray]) -> StandardScale:
    return learn_standard_scale([landmarks(i, brain_of(i)) for i in cohort], ["flair"])


@pytest.fixture(scope="module")
def scale() -> StandardScale:
    return learned([flair(i, gain=10.0**i, lesion_ml=8 * i)[0] for i in range(5)])


def mapped(image: np.ndarray, scale: StandardScale) -> np.ndarray:
    return to_standard_scale(image, brain_of(image), scale=scale, modalities=["flair"])


def test_the_standard_is_the_mean_of_the_subjects_landmarks_with_their_ends_made_equal():
    # one subject's landmarks are 0, 1, …, 10, the other's their squares; ends become 30 and 130
    one, other = np.arange(11.0), np.arange(11.0) ** 2
    scale = learn_standard_scale([one[None], other[None]], ["t1"])
    expected = 30 + (10 * one + other) / 2
    np.testing.assert_allclose(scale.landmarks["t1"], expected)
    assert scale.subjects == 2
    assert scale.percents == PERCENTS == (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


def test_it_is_linear_interpolation_between_the_landmarks_and_beyond_them(scale):
    image, _ = flair(20, gain=300)
    inside = image[0][brain_of(image)].astype(float)
    own = np.percentile(inside, PERCENTS)
    line = interp1d(own, scale.landmarks["flair"], bounds_error=False, fill_value="extrapolate")
    found = mapped(image, scale)[0][brain_of(image)]
    np.testing.assert_allclose(found, line(inside).clip(DARKEST), atol=1e-4)
    assert inside.max() > own[-1]
    assert found.max() > 130  # the last segment goes on
    assert found.dtype == np.float32


@pytest.mark.parametrize(("gain", "offset"), [(1e-3, 0.0), (5000.0, 0.0), (40.0, 900.0)])
def test_the_scanners_scale_does_not_matter(gain, offset, scale):
    image, _ = flair(21)
    mask = brain_of(image)
    other = np.where(mask, gain * image + offset, 0).astype(np.float32)
    found = to_standard_scale(other, mask, scale=scale, modalities=["flair"])
    np.testing.assert_allclose(found, mapped(image, scale), atol=2e-2)


def test_the_background_is_exactly_zero_and_no_brain_voxel_is(scale):
    image, _ = flair(22)
    image[0, 15, 16, 14] = -500  # far beyond the first landmark
    mask = brain_of(image) | (image[0] < 0)
    found = to_standard_scale(image, mask, scale=scale, modalities=["flair"])
    assert (found[:, ~mask] == 0).all()
    assert found[0, 15, 16, 14] == DARKEST == found[:, mask].min()


def test_order_is_kept_far_beyond_the_landmarks_too(scale):
    image, _ = flair(23, gain=100)
    mask = brain_of(image)
    ramp = image.copy()
    values = np.sort(np.concatenate([ramp[0][mask][:-200], np.geomspace(1e-3, 1e6, 200)]))
    ramp[0][mask] = values
    found = to_standard_scale(ramp, mask, scale=scale, modalities=["flair"])[0][mask]
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("levels", [3, 6, 40])
def test_an_image_of_a_few_grey_values_keeps_their_order(levels, scale):
    image, _ = flair(24)
    mask = brain_of(image)
    coarse = np.where(mask, np.ceil(image / image.max() * levels), 0).astype(np.float32)
    found = to_standard_scale(coarse, mask, scale=scale, modalities=["flair"])
    by_level = [np.unique(found[coarse == level]) for level in np.unique(coarse[coarse > 0])]
    assert all(values.size == 1 for values in by_level)
    assert (np.diff(np.concatenate(by_level)) >= 0).all()
    assert len(np.unique(np.concatenate(by_level))) > 1


def test_standardising_twice_is_standardising_once(scale):
    once = mapped(flair(25, gain=70)[0], scale)
    np.testing.assert_allclose(mapped(once, scale), once, atol=1e-3)


@pytest.mark.parametrize(("lesion_ml", "share"), [(5.0, 0.06), (20.0, 0.2), (50.0, 0.4)])
def test_a_load_of_lesions_moves_healthy_tissue_by_a_part_of_the_contrast_at_most(
    lesion_ml, share, scale
):
    healthy, _ = flair(26)
    ill, lesions = flair(26, lesion_ml=lesion_ml)
    before, after = mapped(healthy, scale), mapped(ill, scale)
    same = brain_of(healthy) & ~lesions
    contrast = np.subtract(*np.percentile(before[0][same], [75, 25]))  # about grey and white
    moved = np.abs(after[0] - before[0])[same]
    assert np.percentile(moved, 95) < share * contrast
    raw, usual = (np.sort(one[brain_of(healthy)[None]]) for one in (healthy, before))
    unmoved = np.interp(ill[0][lesions], raw, usual)  # by the healthy scan's own map
    assert abs(np.median(after[0][lesions] - unmoved)) < share * contrast


def test_without_a_scale_the_same_tissue_differs_and_with_it_agrees(scale):
    one, other = flair(27, gain=4.0)[0], flair(28, gain=90.0, lesion_ml=30)[0]
    raw = [np.median(image[image > 0]) for image in (one, other)]
    done = [np.median(found[found > 0]) for found in (mapped(one, scale), mapped(other, scale))]
    assert raw[1] / raw[0] > 20
    assert done[1] / done[0] == pytest.approx(1, abs=0.01)


def test_each_channel_goes_by_its_own_modality():
    image = np.concatenate([flair(1)[0], 50 - flair(2)[0]])
    mask = (image[0] > 0) & (image[1] < 50)
    image[:, ~mask] = 0
    scale = learn_standard_scale([landmarks(image, mask)], ["flair", "t1"])
    both = to_standard_scale(image, mask, scale=scale, modalities=["flair", "t1"])
    alone = to_standard_scale(image[1:], mask, scale=scale, modalities=["t1"])
    np.testing.assert_array_equal(both[1:], alone)
    assert scale.landmarks["flair"] != scale.landmarks["t1"]


def test_a_scale_survives_its_file(scale, tmp_path):
    write_standard_scale(scale, tmp_path / "scale.json")
    assert read_standard_scale(tmp_path / "scale.json") == scale
    record = json.loads((tmp_path / "scale.json").read_text())
    assert record["landmarks"]["flair"][0] == pytest.approx(30)
    assert record["subjects"] == 5


def test_a_scale_says_what_it_was_learned_from_if_it_was_told():
    told = learn_standard_scale([np.arange(11.0)[None]], ["t1"], origin="one ramp")
    assert StandardScale.from_json(told.to_json()).origin == "one ramp"
    untold = json.loads(told.to_json())
    del untold["origin"]
    assert StandardScale.from_json(json.dumps(untold)).origin == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"scale\.json: file must be readable text"),
        ("{", r"scale\.json: text must be a standard scale in JSON"),
        ("[]", r"scale\.json: text must be a standard scale"),
        ('{"landmarks": {"t1": [1, 2]}, "subjects": 2}', "got 'percents'"),
        (
            '{"landmarks": {"t1": [1, 2]}, "subjects": 2, "percents": [1, 50, 99]}',
            r"scale\.json: landmarks of t1 must be 3 rising numbers, got \(1\.0, 2\.0\)",
        ),
        (
            '{"landmarks": {"t1": [1, 3, 2]}, "subjects": 2, "percents": [1, 50, 99]}',
            "landmarks of t1 must be 3 rising numbers",
        ),
        (
            '{"landmarks": {"t1": [1, NaN, 2]}, "subjects": 2, "percents": [1, 50, 99]}',
            "landmarks of t1 must be 3 rising numbers",
        ),
    ],
)
def test_a_file_that_holds_no_scale_is_refused_by_name(text, message, tmp_path):
    if text is not None:
        (tmp_path / "scale.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_standard_scale(tmp_path / "scale.json")


def test_a_cohort_that_teaches_nothing_is_refused():
    with pytest.raises(InputError, match="cohort must hold at least one subject, got 0"):
        learn_standard_scale([], ["t1"])
    with pytest.raises(InputError, match=r"got 2 channels and the names t1\.$"):
        learn_standard_scale([np.arange(22.0).reshape(2, 11)], ["t1"])
    good, flat = np.arange(22.0).reshape(2, 11), np.ones((2, 11))
    flat[0] = np.arange(11)
    with pytest.raises(InputError, match="subject 2 of the cohort: flair must vary"):
        learn_standard_scale([good, flat], ["t1", "flair"])


@pytest.mark.parametrize("names", [[], ["flair", "t1"]])
def test_every_channel_must_have_a_name(names, scale):
    image = flair(1)[0]
    with pytest.raises(InputError, match="channels must be named by the modalities, one each"):
        to_standard_scale(image, brain_of(image), scale=scale, modalities=names)


@pytest.mark.parametrize(
    ("image", "modality", "message"),
    [
        (flair(1)[0], "flare", "modality must be one of flair, got flare. Did you mean flair?"),
        ((flair(1)[0] > 0).astype(np.float32), "flair", "channel 0 must vary .* got 1 throughout"),
        (np.where(flair(1)[0] > 1.5, np.inf, flair(1)[0]), "flair", "values must be finite"),
        (flair(1)[0] * 0, "flair", "brain mask must hold at least one voxel"),
    ],
    ids=["modality", "constant", "infinite", "no brain"],
)
def test_an_image_that_cannot_be_mapped_is_refused(image, modality, message, scale):
    with pytest.raises(InputError, match=message):
        to_standard_scale(image, brain_of(image), scale=scale, modalities=[modality])


def test_two_real_patients_with_1_and_50_ml_of_lesions_agree(real):
    brains = []
    for subject in ("sub-cs07", "sub-cs19"):
        path = real / f"openms-cs/{subject}/anat/{subject}_space-MNI_FLAIR.nii.gz"
        image = read_image(path).voxels.astype(np.float32)[None]
        brains.append((image, binary_fill_holes(image[0] != 0)))
    scale = learn_standard_scale([landmarks(*brain) for brain in brains], ["flair"])
    done = [to_standard_scale(*brain, scale=scale, modalities=["flair"]) for brain in brains]
    raw_medians, medians = (
        [np.median(image[0][mask]) for image, (_, mask) in zip(images, brains, strict=True)]
        for images in ([image for image, _ in brains], done)
    )
    assert raw_medians[0] / raw_medians[1] > 1.3
    assert medians[0] / medians[1] == pytest.approx(1, abs=0.015)
