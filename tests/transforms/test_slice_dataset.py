from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader

from monai_transfer.errors import InputError
from monai_transfer.training import EpochBatches, EpochSampler
from monai_transfer.transforms import ContiguousSlicesd, SliceDataset, randomise_domain

EMPTY = {0: (), 1: (0, 1), 2: (5,)}
"""Slices of each subject that are 0."""
COUNTS = [4, 3, 6]


def subject(number: int) -> dict:
    """Every voxel is another; each label is the voxel's number modulo 4."""
    shape = (12, 8, COUNTS[number] + len(EMPTY[number]))
    place = torch.arange(1.0, np.prod(shape) + 1).reshape(1, *shape) + 1000 * number
    image = torch.cat([place, -place])
    image[..., list(EMPTY[number])] = 0
    return {"image": image, "label": (place % 4).byte(), "subject": f"sub-{number}"}


@pytest.fixture(scope="module")
def subjects() -> list[dict]:
    return [subject(number) for number in range(3)]


@pytest.fixture
def dataset(subjects) -> Callable[..., SliceDataset]:
    return lambda **options: SliceDataset(subjects, **{"seed": 3} | options)


def epoch_of(dataset: SliceDataset, epoch: int) -> dict:
    return dataset[epoch, np.arange(len(dataset))]


def test_reassembled_slices_are_the_volumes_but_for_those_that_are_0(dataset, subjects):
    batch = epoch_of(dataset(), 1)
    assert len(batch["image"]) == sum(COUNTS)
    for number, one in enumerate(subjects):
        of_it = [i for i, name in enumerate(batch["subject"]) if name == one["subject"]]
        kept = [z for z in range(one["image"].shape[-1]) if z not in EMPTY[number]]
        for key in ("image", "label"):
            assert torch.equal(batch[key][of_it].movedim(0, -1), one[key][..., kept]), key


def test_types_are_those_of_the_cache_and_metadata_are_left_behind(dataset):
    batch = epoch_of(dataset(), 1)
    assert (batch["image"].dtype, batch["label"].dtype) == (torch.float32, torch.uint8)
    assert batch["label"].shape[1:] == (1, 12, 8)
    assert {type(batch[key]) for key in ("image", "label")} == {torch.Tensor}


@pytest.mark.parametrize("presence_values", [None, [0, 3]])
def test_a_batch_is_its_items_stacked_whatever_epoch_each_is_of(dataset, presence_values):
    slices = dataset(flip=True, presence_values=presence_values)
    indices = [(1, 5), (2, 5), 7, (1, 12), (0, 7), -1]
    batch = slices.__getitems__(indices)
    items = [slices[index] for index in indices]
    for key in ("image", "label"):
        assert torch.equal(batch[key], torch.stack([item[key] for item in items]))
    assert batch["subject"] == [item["subject"] for item in items]
    assert items[0]["image"].shape == (2, 12, 8)
    assert torch.equal(items[2]["image"], items[4]["image"])


def test_without_labels_images_are_the_same_and_a_label_s_path_is_not_looked_at(subjects):
    whole = SliceDataset(subjects, flip=True)
    alone = SliceDataset(
        [{**s, "label": "a/path.nii"} for s in subjects], flip=True, labelled=False
    )
    ours, theirs = epoch_of(alone, 3), epoch_of(whole, 3)
    assert set(ours) == {"image", "subject"}
    assert torch.equal(ours["image"], theirs["image"])


def test_half_of_the_slices_are_mirrored_left_and_right_image_and_label_together(dataset):
    plain, flipped = epoch_of(dataset(), 1), [epoch_of(dataset(flip=True), e) for e in range(1, 9)]
    mirrored = 0
    for batch in flipped:
        for i in range(sum(COUNTS)):
            other = not torch.equal(batch["image"][i], plain["image"][i])
            mirrored += other
            for key in ("image", "label"):
                expected = plain[key][i].flip(1) if other else plain[key][i]
                assert torch.equal(batch[key][i], expected)
    assert 31 < mirrored < 73  # binomial of 104: 52 ± 5, four SD
    assert not all(torch.equal(b["image"], flipped[0]["image"]) for b in flipped)


def test_the_cached_volumes_are_never_changed_and_never_copied(subjects):
    chain = ContiguousSlicesd(["image", "label"])
    cached = CacheDataset(subjects, chain, as_contiguous=False, progress=False)
    before = [one["image"].clone() for one in subjects]
    slices = SliceDataset(cached, flip=True)
    batch = epoch_of(slices, 1)
    batch["image"] += 1
    for one, kept, held in zip(cached, before, slices._volumes, strict=True):
        assert torch.equal(torch.as_tensor(one["image"]), kept)
        assert held["image"].data_ptr() == one["image"].data_ptr()
        assert held["image"].is_contiguous()


def test_presence_is_that_of_the_slices_voxels_and_not_mirrored(subjects):
    hand = torch.zeros(1, 12, 8, 4, dtype=torch.uint8)
    hand[0, 3, 3, 1], hand[0, 4, 4, 1], hand[0, 0, 0, 3] = 2, 5, 5
    one = [subjects[0] | {"label": hand}]
    batch = epoch_of(SliceDataset(one, flip=True, presence_values=[2, 5, 7]), 1)
    assert batch["label"].tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert batch["label"].dtype == torch.float32


def test_an_item_is_decided_by_seed_epoch_and_number(dataset):
    slices = dataset(flip=True)
    first = {(e, i): slices[e, i]["image"] for e in (1, 2, 3) for i in range(0, 13, 2)}
    np.random.seed(0)  # noqa: NPY002
    again = dataset(flip=True)
    for index, image in reversed(first.items()):
        assert torch.equal(again[index]["image"], image), index
    other = epoch_of(dataset(flip=True, seed=4), 1)["image"]
    assert not torch.equal(epoch_of(slices, 1)["image"], other)


def test_a_number_alone_is_of_the_epoch_that_was_set(dataset):
    slices = dataset(flip=True)
    assert torch.equal(slices[3]["image"], slices[0, 3]["image"])
    slices.set_epoch(6)
    assert all(torch.equal(slices[i]["image"], slices[6, i]["image"]) for i in range(13))
    assert sum(1 for _ in slices) == 13  # ends where there are no more


@pytest.fixture
def brains(subjects) -> list[dict]:
    """As a preset leaves them: in [0, 1], around them 0."""
    found = []
    for one in subjects:
        image = one["image"].abs() / one["image"].abs().max()
        image[:, :2] = 0
        found.append({**one, "image": image})
    return found


def test_a_subject_of_an_epoch_is_one_draw_of_another_scanner(brains):
    epoch = epoch_of(SliceDataset(brains, seed=3, domain_randomisation=1.0), 2)
    for number, one in enumerate(brains):
        chain = randomise_domain(1.0)
        state = np.random.SeedSequence([3, 2, number]).generate_state(1)
        chain.set_random_state(int(state[0]))
        expected = chain({"image": one["image"], "label": one["label"]})
        kept = [z for z in range(one["image"].shape[-1]) if z not in EMPTY[number]]
        of_it = [i for i, name in enumerate(epoch["subject"]) if name == one["subject"]]
        for key in ("image", "label"):
            wanted = torch.as_tensor(expected[key])[..., kept].as_subclass(torch.Tensor)
            assert torch.equal(epoch[key][of_it].movedim(0, -1), wanted.to(one[key].dtype)), key


def test_scanners_change_from_epoch_to_epoch_and_never_the_cached_volumes(brains):
    before = [{key: one[key].clone() for key in ("image", "label")} for one in brains]
    slices = SliceDataset(brains, seed=3, domain_randomisation=2.0)
    epochs = [epoch_of(slices, epoch) for epoch in (1, 2, 1)]
    for key in ("image", "label"):
        assert torch.equal(epochs[0][key], epochs[2][key])
        assert all(torch.equal(a[key], b[key]) for a, b in zip(brains, before, strict=True))
    assert (epochs[0]["image"].dtype, epochs[0]["label"].dtype) == (torch.float32, torch.uint8)
    assert not torch.equal(epochs[0]["image"], epochs[1]["image"])
    assert epochs[0]["image"].min() == 0
    assert epochs[0]["image"].max() <= 1
    assert {type(epochs[0][key]) for key in ("image", "label")} == {torch.Tensor}


def test_a_batch_of_scanners_of_several_epochs_is_its_items_stacked(brains):
    slices = SliceDataset(brains, flip=True, domain_randomisation=1.0)
    indices = [(1, 5), (2, 5), 7, (1, 12), (0, 7), -1]
    batch = slices.__getitems__(indices)
    items = [slices[index] for index in indices]
    for key in ("image", "label"):
        assert torch.equal(batch[key], torch.stack([item[key] for item in items]))


def test_presence_is_that_of_the_map_in_its_new_pose(brains):
    options = {"seed": 3, "domain_randomisation": 2.0}
    told = SliceDataset(brains, presence_values=[0, 3], **options)
    for epoch in range(1, 9):
        label = epoch_of(SliceDataset(brains, **options), epoch)["label"].flatten(1)
        present = torch.stack([(label == value).any(dim=1) for value in (0, 3)], dim=1)
        assert torch.equal(epoch_of(told, epoch)["label"], present.float())


def test_without_labels_scanners_are_the_same(brains):
    images = [{**one, "label": "a/path.nii"} for one in brains]
    alone = epoch_of(SliceDataset(images, labelled=False, domain_randomisation=1.0), 3)
    whole = epoch_of(SliceDataset(brains, domain_randomisation=1.0), 3)
    assert torch.equal(alone["image"], whole["image"])


@pytest.mark.parametrize("scanners", [0.0, 1.0])
@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_processes_and_samplers_do_not_change_what_is_drawn(brains, workers, scanners):
    slices = SliceDataset(brains, seed=3, flip=True, domain_randomisation=scanners)
    singly, whole = EpochSampler(slices, seed=5), EpochBatches(slices, 5, seed=5)
    common = {"num_workers": workers, "collate_fn": slices.collate}
    loaders = [
        DataLoader(slices, batch_size=5, sampler=singly, **common),
        DataLoader(slices, batch_size=None, sampler=whole, **common),
    ]
    for epoch in (1, 2):
        singly.set_epoch(epoch)
        whole.set_epoch(epoch)
        expected = [slices.__getitems__(list(singly)[i : i + 5]) for i in range(0, 13, 5)]
        for loader in loaders:
            for batch, wanted in zip(loader, expected, strict=True):
                assert torch.equal(batch["image"], wanted["image"])
                assert torch.equal(batch["label"], wanted["label"])
                assert batch["subject"] == wanted["subject"]


def with_one(**entries) -> list[dict]:
    """A faultless subject, and one with other entries."""
    return [subject(0), subject(1) | entries]


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (with_one(image=torch.ones(12, 8, 5)), r"sub-1: image shape must be \(channel, x, y, z\)"),
        (with_one(label=torch.ones(1, 12, 8, 4)), r"sub-1: label shape must be \(1, 12, 8, 5\)"),
        (
            with_one(image=torch.ones(2, 8, 8, 5), label=torch.ones(1, 8, 8, 5)),
            r"sub-1: shape of a slice must be \(2, 12, 8\), .* as in sub-0, got \(2, 8, 8\)",
        ),
        (
            [subject(0) | {"image": torch.zeros(2, 12, 8, 4)}],
            "SliceDataset: images must hold a slice that is not empty, got none in 1 subjects",
        ),
        ([], "got none in 0 subjects"),
    ],
)
def test_subjects_that_cannot_be_drawn_from_are_named(subjects, message):
    with pytest.raises(InputError, match=message):
        SliceDataset(subjects)


def test_a_strength_out_of_range_is_refused(subjects):
    with pytest.raises(InputError, match=r"strength must lie in \(0, 2\], got -1"):
        SliceDataset(subjects, domain_randomisation=-1.0)
