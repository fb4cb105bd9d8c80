from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader

from monai_transfer.errors import InputError
from monai_transfer.training import EpochBatches, EpochSampler
from monai_transfer.transforms import PatchDataset, preset

LESIONS = [37, 0, 4, 150]
"""Lesion voxels of each subject."""
DRAWN = [10, 0, 1, 38]
"""A quarter of them, rounded up."""


def subject(number: int, *, shape=(20, 24, 6)) -> dict:
    """Every voxel of the brain says where it is, from 1 on; around it there is a rim of zeros."""
    rng = np.random.default_rng(number)
    shape = (shape[0] + number, shape[1] + 2 * number, shape[2])
    place = torch.arange(1.0, np.prod(shape) + 1).reshape(1, *shape)
    brain = torch.zeros(place.shape, dtype=torch.bool)
    brain[:, 2:-2, 2:-2] = True
    label = torch.zeros(place.shape, dtype=torch.uint8)
    inside = np.flatnonzero(brain)
    label.view(-1)[rng.choice(inside, LESIONS[number], replace=False)] = 1
    image = torch.cat([place, -place]) * brain
    return {"image": image, "label": label, "subject": f"sub-{number}"}


@pytest.fixture(scope="module")
def subjects() -> list[dict]:
    return [subject(number) for number in range(4)]


@pytest.fixture
def dataset(subjects) -> Callable[..., PatchDataset]:
    """With patches of 8 voxels, unless another size is asked for."""
    return lambda **options: PatchDataset(subjects, **{"patch_size": 8, "seed": 3} | options)


def epoch_of(dataset: PatchDataset, epoch: int) -> dict:
    return dataset[epoch, np.arange(len(dataset))]


def test_each_subject_gives_a_quarter_of_its_lesion_and_as_many_healthy_voxels(dataset, subjects):
    patches = dataset()
    assert len(patches) == 2 * sum(DRAWN)
    for epoch in (0, 1, 5):
        batch = epoch_of(patches, epoch)
        for one, count in zip(subjects, DRAWN, strict=True):
            labels = [
                label
                for label, name in zip(batch["label"].tolist(), batch["subject"], strict=True)
                if name == one["subject"]
            ]
            assert (labels.count(1), labels.count(0)) == (count, count)


def test_the_label_is_that_of_the_central_voxel_which_is_in_the_brain_and_comes_once(
    dataset, subjects
):
    """Flipped or not; the voxel's value says which one it is."""
    by_name = {one["subject"]: one for one in subjects}
    batch = epoch_of(dataset(), 1)
    central = batch["image"][:, 0, 4, 4].long()
    assert torch.equal(batch["image"][:, 1], -batch["image"][:, 0])
    assert (central > 0).all()
    for place, label, name in zip(central, batch["label"], batch["subject"], strict=True):
        assert by_name[name]["label"].view(-1)[place - 1] == label
    assert len(set(zip(batch["subject"], central.tolist(), strict=True))) == len(central)


def test_a_patch_is_the_square_around_its_voxel_and_half_of_them_are_flipped(dataset, subjects):
    by_name = {one["subject"]: one["image"] for one in subjects}
    batch, flips = epoch_of(dataset(patch_size=7), 2), 0
    for patch, name in zip(batch["image"], batch["subject"], strict=True):
        place = int(patch[0, 3, 3]) - 1
        x, y, z = np.unravel_index(place, by_name[name].shape[1:])
        padded = torch.nn.functional.pad(by_name[name][..., z], (3, 3, 3, 3))
        square = padded[:, x : x + 7, y : y + 7]
        flipped = torch.equal(patch, square.flip(2))
        assert flipped != torch.equal(patch, square)
        flips += flipped
    assert 32 < flips < 66  # binomial: 49 ± 5
    plain = epoch_of(dataset(patch_size=7, flip=False), 2)["image"]
    assert torch.equal(plain[:, :, 3, 3], batch["image"][:, :, 3, 3])
    inner = (plain[:, 0, 3] != 0).all(1)
    assert (plain[inner, 0, 3].diff() > 0).all()


def test_a_batch_is_its_items_stacked_whatever_epoch_each_is_of(dataset):
    patches = dataset()
    indices = [(1, 5), (2, 5), 7, (1, 97), (0, 7), -1]
    batch = patches.__getitems__(indices)
    items = [patches[index] for index in indices]
    assert torch.equal(batch["image"], torch.stack([item["image"] for item in items]))
    assert batch["label"].tolist() == [item["label"].item() for item in items]
    assert batch["subject"] == [item["subject"] for item in items]
    assert items[0]["image"].shape == (2, 8, 8)
    assert items[0]["label"].dtype == batch["label"].dtype == torch.int64
    assert items[0]["label"].ndim == 0
    assert type(items[0]["image"]) is torch.Tensor
    assert torch.equal(items[2]["image"], items[4]["image"])


def test_an_item_is_decided_by_seed_epoch_and_number(dataset):
    patches = dataset()
    first = {(e, i): patches[e, i]["image"] for e in (1, 2, 3) for i in range(0, 98, 9)}
    np.random.seed(0)  # noqa: NPY002
    again = dataset()
    for index, image in reversed(first.items()):
        assert torch.equal(again[index]["image"], image), index
    whole = epoch_of(patches, 1)["image"]
    assert not torch.equal(whole, epoch_of(patches, 2)["image"])
    assert not torch.equal(whole, epoch_of(dataset(seed=4), 1)["image"])


def test_a_subjects_draw_does_not_depend_on_those_after_it(dataset, subjects):
    alone = PatchDataset(subjects[:1], patch_size=8, seed=3)
    assert torch.equal(epoch_of(alone, 4)["image"], epoch_of(dataset(), 4)["image"][: len(alone)])


def test_fixed_patches_are_the_same_in_every_epoch(dataset):
    fixed, fresh = dataset(fixed=True, flip=False), dataset(flip=False)
    for epoch in (1, 7):
        assert torch.equal(epoch_of(fixed, epoch)["image"], epoch_of(fresh, 0)["image"])


def test_a_number_alone_is_of_the_epoch_that_was_set(dataset):
    patches = dataset()
    assert torch.equal(patches[3]["image"], patches[0, 3]["image"])
    patches.set_epoch(6)
    assert torch.equal(patches[3]["image"], patches[6, 3]["image"])
    assert sum(1 for _ in patches) == 98  # ends where there are no more


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_processes_and_samplers_do_not_change_what_is_drawn(dataset, workers):
    patches = dataset()
    singly, whole = EpochSampler(patches, seed=5), EpochBatches(patches, 16, seed=5)
    common = {"num_workers": workers, "collate_fn": patches.collate}
    loaders = [
        DataLoader(patches, batch_size=16, sampler=singly, **common),
        DataLoader(patches, batch_size=None, sampler=whole, **common),
    ]
    for epoch in (1, 2):
        singly.set_epoch(epoch)
        whole.set_epoch(epoch)
        expected = [patches.__getitems__(list(singly)[i : i + 16]) for i in range(0, 98, 16)]
        for loader in loaders:
            seen = list(loader)
            assert len(seen) == len(loader) == 7
            for batch, wanted in zip(seen, expected, strict=True):
                assert torch.equal(batch["image"], wanted["image"])
                assert torch.equal(batch["label"], wanted["label"])
                assert batch["subject"] == wanted["subject"]


def test_the_subjects_of_a_cached_preset_come_as_they_are(tmp_path, phantom):
    entry = phantom.store(tmp_path) | {"subject": "sub-01"}
    chain = preset("g17", label_values=[0, 1, 2, 4], check=False)
    cached = CacheDataset([entry], chain, progress=False)
    patches = PatchDataset(cached, fixed=True, flip=False)
    lesion = int((phantom.label > 0).sum())
    assert len(patches) == 2 * -(-lesion // 4)
    batch = epoch_of(patches, 0)
    assert batch["image"].shape == (len(patches), 4, 32, 32)
    assert set(batch["label"].tolist()) == {0, 1, 2, 3}
    assert (batch["image"][:, :, 16, 16] > 0).all()
    assert {type(value) for value in (batch["image"], batch["label"])} == {torch.Tensor}


@pytest.mark.gpu
def test_patches_are_cut_on_the_device_that_holds_the_volumes(dataset):
    batch, on_cpu = epoch_of(dataset(device="cuda"), 1), epoch_of(dataset(), 1)
    assert batch["image"].is_cuda
    assert batch["label"].is_cuda
    assert torch.equal(batch["image"].cpu(), on_cpu["image"])
    assert torch.equal(batch["label"].cpu(), on_cpu["label"])


def with_one(**entries) -> list[dict]:
    """A faultless subject, and one with other entries."""
    return [subject(0), subject(3) | entries]


SHAPE = (20, 24, 6)
IMAGE, EMPTY, FULL = torch.ones(2, *SHAPE), torch.zeros(1, *SHAPE), torch.ones(1, *SHAPE)


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (with_one(image=IMAGE[0]), r"sub-3: image shape must be \(channel, x, y, z\), got"),
        (with_one(label=EMPTY), r"sub-3: label shape must be \(1, 23, 30, 6\), .* got \(1, 20"),
        (with_one(image=IMAGE, label=EMPTY[0]), r"sub-3: label shape must .* got \(20,"),
        (
            with_one(image=IMAGE[:1], label=EMPTY),
            r"sub-3: number of channels must be 2, as in sub-0, got 1",
        ),
        (with_one(image=IMAGE, label=-FULL), r"sub-3: label values must be class indices"),
        (with_one(image=IMAGE, label=FULL / 2), r"sub-3: label values must be class indices"),
        (
            with_one(image=IMAGE, label=FULL),
            r"sub-3: brain must hold at least 720 voxels without lesion, .* got 0",
        ),
        (
            with_one(image=IMAGE[:, :7], label=EMPTY[:, :7]),
            r"sub-3: image size must be at least 8 voxels along x and y, .* got 7×24×6",
        ),
        ([subject(1)] * 2, r"PatchDataset: labels must hold a lesion voxel, got none in 2 sub"),
        ([], r"PatchDataset: labels must hold a lesion voxel, got none in 0 subjects"),
    ],
)
def test_subjects_that_cannot_be_drawn_from_are_named(subjects, message):
    with pytest.raises(InputError, match=message):
        PatchDataset(subjects, patch_size=8)


@pytest.mark.parametrize("fraction", [0.0, -0.25, 25, float("nan")])
def test_what_is_no_fraction_is_refused(fraction, dataset):
    rule = "lesion_fraction must be above 0 and at most 1"
    with pytest.raises(InputError, match=f"{rule}, got {fraction}"):
        dataset(lesion_fraction=fraction)
