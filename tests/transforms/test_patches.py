from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.inferers import SliceInferer
from monai.transforms import Compose, Invertd, RandFlipd
from monai.utils import convert_to_dst_type

from monai_transfer.imaging import Loading, Preparation, Recipe, Scaling
from monai_transfer.transforms import axial_slices, k19, k19_training, preset

BRATS = [0, 1, 2, 4]
SLICED = Recipe(
    "sliced",
    "ours",
    Preparation(),
    Loading(
        Scaling("percentiles", (1.0, 99.0), over="all"), size=(24, 24, 20), dropped_slices=(3, 6)
    ),
)


@pytest.fixture
def entry(tmp_path, phantom):
    return phantom.store(tmp_path)


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


def test_slices_come_from_the_bottom_up_with_their_place_in_the_world(entry):
    volume = preset(SLICED, label_values=BRATS)(entry)
    slices = axial_slices(preset(SLICED, label_values=BRATS))(entry)
    assert len(slices) == 20 - 3 - 6
    for z, one in enumerate(slices):
        assert torch.equal(one["image"].as_tensor(), volume["image"].as_tensor()[..., z])
        assert torch.equal(one["label"].as_tensor(), volume["label"].as_tensor()[..., z])
    step = slices[4]["image"].affine[:3, 3] - slices[0]["image"].affine[:3, 3]
    np.testing.assert_allclose(step, [0, 0, 4], atol=1e-6)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_predictions_of_slices_are_reassembled_on_the_subjects_own_grid(codes, tmp_path, phantom):
    grid = {"codes": codes, "affine": phantom.affines["oblique"]}
    chain = preset(SLICED)
    subject = chain(phantom.store(tmp_path, **grid))
    infer = SliceInferer(roi_size=(24, 24), spatial_dim=2, sw_batch_size=4)
    bright = infer(subject["image"][None], lambda slices: (slices[:, :1] > 0.6).float())[0]
    subject["pred"] = convert_to_dst_type(bright, subject["image"])[0]
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=True)(subject)["pred"]
    # in RAS order: x padded by 1 at both ends, y cropped by 1, slices 3 to 13 kept
    kept = phantom.images[0][:, 1:25, 3:14]
    low, high = np.percentile(np.pad(kept, [(1, 1), (0, 0), (0, 0)]), [1, 99])
    expected = np.zeros(phantom.label.shape, np.uint8)
    expected[:, 1:25, 3:14] = (kept - low) / (high - low) > 0.6
    assert expected.sum() > 50
    stored = nib.load(phantom.write(tmp_path / "expected.nii.gz", expected, **grid))
    np.testing.assert_array_equal(back[0], np.asarray(stored.dataobj))
