import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Compose, Invertd, RandFlipd

from monai_transfer.errors import InputError
from monai_transfer.transforms import K19_SIZE_MM, k19, k19_training, standardise

BRATS = [0, 1, 2, 4]
STORAGE = [
    (codes, affine)
    for affine in ("upright", "oblique")
    for codes in ("RAS", "LAS", "LPS", "LIA", "PIR")
]


def cause_of(error: BaseException) -> InputError:
    """The input error that MONAI wrapped."""
    while not isinstance(error, InputError):
        assert error.__cause__ is not None
        error = error.__cause__
    return error


def centre_mm(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Centre of mass in the world, by hand."""
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


@pytest.fixture
def entry(tmp_path, phantom):
    return phantom.store(tmp_path)


def test_the_image_is_the_standardised_brain_box_padded_with_zeros(entry, phantom):
    # the brain covers 17×21×15 voxels: padded to 24×24×16 by 4|3, 2|1 and 1|0
    result = k19(label_values=BRATS)(entry)
    box = np.s_[2:19, 3:24, 2:17]
    assert phantom.brain.sum() == phantom.brain[box].sum()
    expected = np.zeros((4, 24, 24, 16), np.float32)
    expected[:, 3:20, 1:22, 0:15] = standardise(phantom.images, phantom.brain)[(slice(None), *box)]
    np.testing.assert_array_equal(result["image"], expected)
    index = np.zeros((1, 24, 24, 16), np.uint8)
    index[0, 3:20, 1:22, 0:15] = np.searchsorted(BRATS, phantom.label[box])
    np.testing.assert_array_equal(result["label"], index)
    assert result["image"].dtype == torch.float32


@pytest.mark.parametrize(("codes", "affine"), STORAGE)
def test_the_storage_order_changes_nothing(codes, affine, tmp_path, phantom):
    affine = phantom.affines[affine]
    plain = k19(label_values=BRATS)(phantom.store(tmp_path / "ras", affine=affine))
    result = k19(label_values=BRATS)(phantom.store(tmp_path / codes, codes=codes, affine=affine))
    for key in ("image", "label"):
        assert torch.equal(result[key], plain[key])
        np.testing.assert_allclose(result[key].affine, plain[key].affine, atol=1e-5)


@pytest.mark.parametrize("spacing_mm", [None, 1.0, 2.0, 0.5])
@pytest.mark.parametrize(("codes", "affine"), [("LPS", "oblique"), ("RAS", "upright")])
def test_the_tumour_stays_where_it_is_in_the_world(codes, affine, spacing_mm, tmp_path, phantom):
    affine = phantom.affines[affine]
    entry = phantom.store(tmp_path, codes=codes, affine=affine)
    label = k19(spacing_mm=spacing_mm, label_values=BRATS)(entry)["label"]
    size_mm = np.linalg.norm(label.affine.numpy()[:3, :3], axis=0)
    np.testing.assert_allclose(size_mm, spacing_mm or 1.0, rtol=1e-5)
    found = centre_mm(label[0].numpy() > 0, label.affine.numpy())
    truth = centre_mm(phantom.label > 0, affine)
    # resampled labels are sampled, not averaged: a quarter of the larger voxel in each direction
    assert np.abs(found - truth).max() < {None: 1e-4, 1.0: 1e-4, 2.0: 0.5, 0.5: 0.25}[spacing_mm]
    volume_ml = float((label > 0).sum()) * (spacing_mm or 1.0) ** 3 / 1000
    assert volume_ml == pytest.approx((phantom.label > 0).sum() / 1000, rel=0.2)


def test_one_4d_file_is_as_good_as_four_files(tmp_path, phantom):
    four, one = (
        k19(label_values=BRATS)(phantom.store(tmp_path / str(s), codes="LAS", stacked=s))
        for s in (False, True)
    )
    assert torch.equal(four["image"], one["image"])
    assert torch.equal(four["image"].affine, one["image"].affine)


def test_a_label_with_a_channel_axis_is_read_like_one_without(tmp_path, phantom, entry):
    other = phantom.store(tmp_path / "4d", label=phantom.label[..., None])
    assert torch.equal(
        k19(label_values=BRATS)(other)["label"], k19(label_values=BRATS)(entry)["label"]
    )


def test_images_that_are_on_the_grid_but_for_rounding_are_not_interpolated(tmp_path, phantom):
    affine = phantom.affines["oblique"] @ np.diag([1.0000004, 0.9999997, 1.0000002, 1])
    image = k19()(phantom.store(tmp_path, affine=affine))["image"]
    values = standardise(phantom.images, phantom.brain)
    assert set(np.unique(image)) == {0, *np.unique(values)}


def test_label_and_image_that_differ_by_rounding_stay_on_one_grid(tmp_path, phantom):
    affine = phantom.affines["oblique"].copy()
    entry = phantom.store(tmp_path, affine=affine)
    affine[:3] += 3e-5
    entry["label"] = phantom.write(tmp_path / "other.nii.gz", phantom.label, affine=affine)
    result = k19(spacing_mm=0.7, label_values=BRATS)(entry)
    assert result["image"].shape[1:] == result["label"].shape[1:]
    assert torch.equal(result["image"].affine, result["label"].affine)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"divisor": 16}, (32, 32, 16)),
        ({"divisor": 1}, (17, 21, 15)),
        ({"spacing_mm": None, "divisor": 1}, (17, 21, 15)),
        ({"size": (24, 16, 20)}, (24, 16, 20)),
        ({"size": K19_SIZE_MM}, (240, 192, 192)),
        ({"spacing_mm": 2.0, "size": [n // 8 for n in K19_SIZE_MM]}, (30, 24, 24)),
    ],
)
def test_the_size_is_the_one_asked_for(options, shape, entry):
    assert k19(**options)(entry)["image"].shape == (4, *shape)


def test_a_smaller_size_is_cropped_around_the_brains_centre(entry):
    whole = k19(divisor=1)(entry)["image"]  # 17×21×15
    middle = k19(size=(9, 11, 7))(entry)["image"]
    assert torch.equal(middle, whole[:, 4:13, 5:16, 4:11])


def test_without_label_values_no_label_is_needed(entry):
    result = k19()({"image": entry["image"], "subject": "sub-01"})
    assert set(result) == {"image", "subject"}


@pytest.mark.parametrize("options", [{}, {"spacing_mm": None}, {"size": (32, 40, 32)}])
@pytest.mark.parametrize(("codes", "affine"), STORAGE[::3])
def test_inverting_restores_the_label_map_exactly(codes, affine, options, tmp_path, phantom):
    entry = phantom.store(tmp_path, codes=codes, affine=phantom.affines[affine])
    preset = k19(**options, label_values=BRATS)
    restored = Invertd("label", preset, orig_keys="label", nearest_interp=True)(preset(entry))
    np.testing.assert_array_equal(restored["label"][0], np.searchsorted(BRATS, stored(entry)))


@pytest.mark.parametrize(("spacing_mm", "least"), [(0.5, 0.999), (0.8, 0.93), (1.5, 0.8)])
def test_inverting_another_spacing_restores_it_but_for_interpolation(
    spacing_mm, least, tmp_path, phantom
):
    entry = phantom.store(tmp_path, codes="LIA", affine=phantom.affines["oblique"])
    preset = k19(spacing_mm=spacing_mm, label_values=BRATS)
    restored = Invertd("label", preset, orig_keys="label", nearest_interp=True)(preset(entry))
    found, truth = restored["label"][0].numpy() > 0, stored(entry) > 0
    assert found.shape == truth.shape
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > least


def stored(entry: dict) -> np.ndarray:
    """The label as it lies in its file."""
    return np.asarray(nib.load(entry["label"]).dataobj)


def zeros(phantom):
    return {f"image{i}": np.zeros_like(phantom.images[0]) for i in range(4)}


def spoilt(phantom, value):
    image = phantom.images[2].copy()
    image[10, 13, 9] = value
    return {"image2": image}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (zeros, "hold a brain, got 0 in every voxel"),
        (lambda p: {"image1": p.brain.astype(np.float32)}, "channel 1 must be finite and vary"),
        (lambda p: spoilt(p, np.nan), "channel 2 must be finite"),
        (lambda p: spoilt(p, np.inf), "channel 2 must be finite"),
        (lambda p: {"label": p.label + 1}, "label: values must be one of 0, 1, 2, 4, got 3, 5"),
        (lambda p: {"image3": p.images[3][1:]}, r"3\.nii\.gz: grid must be that of .* \(21, 26"),
        (lambda p: {"label": p.label[1:]}, r"label: grid must be that of the subject's first"),
    ],
    ids=["no brain", "constant", "NaN", "infinite", "label value", "image shape", "label shape"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_would_spoil_a_training_in_silence_is_refused(change, message, tmp_path, phantom):
    entry = phantom.store(tmp_path, **change(phantom))
    with pytest.raises(RuntimeError) as caught:
        k19(label_values=BRATS)(entry)
    assert re.search(message, str(cause_of(caught.value)))


def patches(chain: Compose, entry: dict, seed: int, count: int) -> list[dict]:
    chain.set_random_state(seed)
    return [chain(entry)[0] for _ in range(count)]


def test_a_training_patch_has_the_asked_size_and_is_drawn_by_the_seed(entry):
    chain = k19_training(k19(label_values=BRATS), (12, 14, 10), domain_randomisation=1.0)
    first, again, other = (patches(chain, entry, seed, 3) for seed in (1, 1, 2))
    assert {p[key].shape[1:] for p in first for key in ("image", "label")} == {(12, 14, 10)}
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])
    assert not any(torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0]["image"], first[1]["image"])


def test_a_brain_smaller_than_the_patch_is_padded_and_comes_whole(entry):
    chain = k19_training(k19(label_values=BRATS), (40, 40, 32), flip=False)
    (patch,) = patches(chain, entry, 0, 1)
    whole = k19(label_values=BRATS)(entry)
    assert patch["image"].shape == (4, 40, 40, 32)
    for key in ("image", "label"):
        assert patch[key].sum().item() == pytest.approx(whole[key].sum().item(), rel=1e-6)


def test_half_of_the_patches_are_centred_on_a_labelled_voxel(entry):
    crop = k19_training(k19(label_values=BRATS), (3, 3, 3), flip=False).transforms[-1]
    crop.set_random_state(0)
    prepared = k19(label_values=BRATS)(entry)
    centres = [crop(prepared)[0] for _ in range(200)]
    on_label = sum(bool(p["label"][0, 1, 1, 1] > 0) for p in centres)
    in_brain = sum(bool((p["image"][:, 1, 1, 1] > 0).any()) for p in centres)
    assert 72 < on_label < 128  # binomial: 100 ± 7
    assert in_brain > 190  # a centre too near to the rim is moved inwards


def test_the_flip_mirrors_left_and_right_of_image_and_label_alike(entry):
    size = (40, 40, 32)
    chain = k19_training(k19(label_values=BRATS), size)
    (plain,) = patches(k19_training(k19(label_values=BRATS), size, flip=False), entry, 0, 1)
    flips = []
    for patch in patches(chain, entry, 3, 12):
        flipped = torch.equal(patch["image"], plain["image"].flip(1))
        assert flipped != torch.equal(patch["image"], plain["image"])
        expected = plain["label"].flip(1) if flipped else plain["label"]
        assert torch.equal(patch["label"], expected)
        flips.append(flipped)
    assert {True, False} == set(flips)


def test_the_chain_is_flat_so_that_a_cache_keeps_all_that_is_not_random(entry):
    chain = k19_training(k19(label_values=BRATS), (8, 8, 8), domain_randomisation=0.5)
    assert not any(isinstance(step, Compose) for step in chain.transforms)
    dataset = CacheDataset([entry], chain, progress=False)
    for path in [*entry["image"], entry["label"]]:
        Path(path).unlink()
    draws = [dataset[0][0]["image"] for _ in range(4)]
    assert not torch.equal(draws[0], draws[1])


def test_options_leave_their_transforms_out():
    chain = k19_training(k19(label_values=BRATS), (8, 8, 8), flip=False)
    assert not any(isinstance(step, RandFlipd) for step in chain.transforms)
    assert len(chain.transforms) == len(k19(label_values=BRATS).transforms) + 2
