import pytest
import torch
from monai.data import DataLoader

from monai_transfer.errors import InputError
from monai_transfer.transforms import BrainPatches


def subject(name: str, size: int = 36) -> dict:
    """Every voxel of the brain has a number of its own."""
    image = torch.zeros(2, size, size + 4, 3)
    image[0, 5:30, 6:30, 1:] = torch.arange(1.0, 25 * 24 * 2 + 1).reshape(25, 24, 2)
    return {"image": image, "subject": name}


def test_centres_are_voxels_of_the_brain_each_at_most_once():
    patches = BrainPatches([subject("a")], per_subject=10_000)
    assert len(patches) == 25 * 24 * 2  # all there are
    centres = patches.__getitems__(range(len(patches)))["image"][:, 0, 16, 16]
    assert sorted(centres.tolist()) == list(range(1, 1201))


def test_a_patch_is_what_lies_around_its_centre_with_zeros_beyond_the_image():
    data = subject("a")
    patch = BrainPatches([data], per_subject=1, seed=4)[0]["image"]
    (x,), (y,), (z,) = torch.where(data["image"][0] == patch[0, 16, 16])
    padded = torch.nn.functional.pad(data["image"][..., z], (16, 16, 16, 16))
    assert torch.equal(patch, padded[:, x : x + 32, y : y + 32])


def test_a_batch_mixes_subjects_and_the_seed_decides():
    data = [subject("a"), {"image": -subject("b", 40)["image"], "subject": "b"}]
    patches = BrainPatches(data, per_subject=64, seed=1)
    loader = DataLoader(patches, batch_size=32, collate_fn=patches.collate)
    first = next(iter(loader))["image"]
    assert first.shape == (32, 2, 32, 32)
    assert {bool(value > 0) for value in first[:, 0, 16, 16]} == {True, False}
    again, other = (BrainPatches(data, per_subject=64, seed=s) for s in (1, 2))
    assert torch.equal(again.__getitems__(range(32))["image"], first)
    assert not torch.equal(other.__getitems__(range(32))["image"], first)


def test_what_cannot_be_drawn_from_is_refused():
    with pytest.raises(InputError, match="empty: image must hold a brain"):
        BrainPatches([subject("a"), {"image": torch.zeros(2, 36, 36, 2), "subject": "empty"}])
    with pytest.raises(InputError, match="per_subject must be at least 1, got 0"):
        BrainPatches([subject("a")], per_subject=0)
