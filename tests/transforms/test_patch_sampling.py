import numpy as np
import pytest
import torch
from monai.transforms import SpatialCrop, SpatialPad

from monai_transfer.errors import InputError
from monai_transfer.transforms.patch_sampling import (
    draw_centres,
    find_candidates,
    gather_patches,
    lesion_count,
    pad_volumes,
)

CPU = torch.device("cpu")


def coordinates(shape: tuple[int, int, int], *, channels: int = 2) -> torch.Tensor:
    """Every voxel says where it is: 1000·channel + 100·x + 10·y + z, plus 1111."""
    c, x, y, z = torch.meshgrid(*map(torch.arange, (channels, *shape)), indexing="ij")
    return (1111 + 1000 * c + 100 * x + 10 * y + z).float()


def gather(images, subject, centres, *, size, flipped=None):
    volumes = pad_volumes(images, margin=size // 2, device=CPU)
    flipped = torch.zeros(len(subject), dtype=torch.bool) if flipped is None else flipped
    where = torch.as_tensor(subject), torch.as_tensor(centres).T
    return gather_patches(volumes, *where, size=size, flipped=flipped)


def test_an_even_patch_reaches_one_voxel_further_before_its_centre():
    (patch,) = gather([coordinates((6, 7, 3))], [0], [(3, 4, 2)], size=4)
    # x 1 to 4 and y 2 to 5, at z = 2: 1111 + 100·1 + 10·2 + 2 = 1233
    first = [[1233, 1243, 1253, 1263], [1333, 1343, 1353, 1363]]
    assert patch[0, :2].tolist() == first
    assert patch[0, 2, 2].item() == 1111 + 300 + 40 + 2
    assert torch.equal(patch[1], patch[0] + 1000)


def test_beyond_the_border_there_are_zeros():
    corners = [(0, 0, 0), (5, 6, 2)]
    first, last = gather([coordinates((6, 7, 3), channels=1)], [0, 0], corners, size=4)[:, 0]
    assert first.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1111, 1121], [0, 0, 1211, 1221]]
    # x 3 to 6 and y 4 to 7, of which 5 and 6 are the last; at z = 2
    assert last[:, 3].tolist() == [0, 0, 0, 0]
    assert last[3].tolist() == [0, 0, 0, 0]
    assert last[2].tolist() == [1653, 1663, 1673, 0]


@pytest.mark.parametrize("size", [4, 5])
def test_a_flip_mirrors_y_about_the_centre(size):
    image, half = coordinates((6, 7, 3), channels=1), size // 2
    for centre in [(3, 4, 2), (0, 0, 0), (5, 6, 1)]:
        plain = gather([image], [0], [centre], size=size)[0, 0]
        flipped = gather([image], [0], [centre], size=size, flipped=torch.tensor([True]))[0, 0]
        assert flipped[half, half] == plain[half, half] == image[(0, *centre)]
        for step in range(1, size - half):
            assert torch.equal(flipped[:, half - step], plain[:, half + step])
            assert torch.equal(flipped[:, half + step], plain[:, half - step])
    # the first line of an even patch is the one after the unflipped patch's last: y = 4 + 2
    flipped = gather([image], [0], [(3, 4, 2)], size=4, flipped=torch.tensor([True]))[0, 0]
    assert flipped[2].tolist() == [1473, 1463, 1453, 1443]


@pytest.mark.parametrize("size", [3, 6, 8])
def test_patches_are_those_that_monai_crops_from_the_padded_volume(size):
    rng = np.random.default_rng(size)
    images = [torch.rand(3, *shape) for shape in ((9, 12, 4), (15, 8, 7), (10, 10, 1))]
    half = size // 2
    subject = rng.integers(0, 3, 60)
    centres = np.array([[rng.integers(n) for n in images[s].shape[1:]] for s in subject])
    patches = gather(images, subject, centres, size=size)
    for patch, s, (x, y, z) in zip(patches, subject, centres, strict=True):
        shape = images[s].shape[1:]
        padded = SpatialPad([n + 2 * half for n in shape[:2]] + [shape[2]])(images[s])
        crop = SpatialCrop(roi_center=[x + half, y + half, z], roi_size=[size, size, 1])
        assert torch.equal(patch, crop(padded)[..., 0].as_tensor())


def test_volumes_that_are_padded_too_little_are_refused():
    volumes = pad_volumes([coordinates((6, 7, 3))], margin=2, device=CPU)
    where = torch.tensor([0]), torch.tensor([[0], [0], [0]])
    with pytest.raises(InputError, match=r"size must be at most 5, .* got 6"):
        gather_patches(volumes, *where, size=6, flipped=torch.tensor([False]))


@pytest.mark.parametrize(
    ("voxels", "fraction", "count"),
    [(0, 0.25, 0), (1, 0.25, 1), (4, 0.25, 1), (5, 0.25, 2), (30, 0.1, 3), (7, 1.0, 7)],
)
def test_the_fraction_is_rounded_up(voxels, fraction, count):
    label = np.zeros((4, 5, 4), np.uint8)
    label.ravel()[:voxels] = 1
    found = find_candidates(label, np.ones(label.shape, bool))
    assert lesion_count(found, fraction) == count


def test_half_of_the_centres_are_lesion_and_half_healthy_brain_and_none_comes_twice():
    rng = np.random.default_rng(3)
    label = rng.choice([0, 1, 2], (12, 10, 6), p=[0.9, 0.06, 0.04])
    brain = rng.random(label.shape) < 0.6
    found = find_candidates(label, brain)
    count = -(-np.count_nonzero(label) // 4)
    centres, classes = draw_centres(found, lesion_fraction=0.25, rng=rng)
    assert centres.shape == (3, 2 * count)
    assert np.array_equal(label[tuple(centres)], classes)
    assert (classes[:count] > 0).all()
    assert brain[tuple(centres[:, count:])].all()
    assert not classes[count:].any()
    assert len(np.unique(centres, axis=1).T) == 2 * count


def test_every_candidate_is_as_likely_as_another():
    label = np.zeros((1, 4, 6), int)
    label[0, 0] = 1
    found, drawn = find_candidates(label, np.ones(label.shape, bool)), np.zeros(label.shape)
    for seed in range(2000):
        centres, _ = draw_centres(
            found, lesion_fraction=0.5, rng=np.random.default_rng([seed, 8, 0])
        )
        drawn[tuple(centres)] += 1
    # binomial: 1000 ± 22 of the 6 lesion voxels, 333 ± 17 of the 18 others
    assert np.abs(drawn[label == 1] - 1000).max() < 90
    assert np.abs(drawn[label == 0] - 2000 * 3 / 18).max() < 68
