import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.imaging.brain import stripped_brain_mask


def test_zeros_inside_the_brain_belong_to_it_and_zeros_outside_do_not():
    image = np.zeros((1, 7, 7, 7))
    image[0, 1:6, 1:6, 1:6] = 3
    image[0, 3, 3, 2:5] = 0  # a hole of three voxels
    mask = stripped_brain_mask(image)
    assert mask.sum() == 5**3
    assert not mask[0].any()


def test_a_pit_that_is_open_to_the_outside_stays_out():
    image = np.zeros((1, 5, 5, 5))
    image[0, 1:4, 1:4, 1:4] = 1
    image[0, 2, 2, 2:] = 0  # open towards +z
    assert stripped_brain_mask(image).sum() == 27 - 2


def test_negative_voxels_and_voxels_of_one_channel_alone_count():
    image = np.zeros((2, 3, 1, 1))
    image[0, 0], image[1, 1] = -2.5, 1e-6
    assert stripped_brain_mask(image)[:, 0, 0].tolist() == [True, True, False]


def test_it_is_hole_filling_of_the_whole_grid():
    rng = np.random.default_rng(0)
    image = (rng.random((2, 14, 15, 16)) < 0.35).astype(np.float32)
    image[:, :3], image[:, :, -4:] = 0, 0
    expected = ndimage.binary_fill_holes((image != 0).any(axis=0))
    assert expected.sum() > (image != 0).any(axis=0).sum()  # there are holes to fill
    np.testing.assert_array_equal(stripped_brain_mask(image), expected)


def test_no_brain_gives_an_empty_mask():
    mask = stripped_brain_mask(np.zeros((2, 3, 4, 5), np.float32))
    assert mask.shape == (3, 4, 5)
    assert not mask.any()


@pytest.fixture
def ball() -> np.ndarray:
    """Two channels of a ball with a hole, negative in places."""
    place = np.indices((9, 10, 11)) - np.reshape([4, 4, 5], (3, 1, 1, 1))
    inside = (place**2).sum(axis=0) < 14
    images = np.random.default_rng(0).normal(0.0, 1.0, (2, 9, 10, 11)) * inside
    images[:, 4, 4, 4:6] = 0
    return images


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_mirroring_the_image_mirrors_the_mask(axis, ball):
    mask = stripped_brain_mask(ball)
    assert mask[4, 4, 4]
    mirrored = stripped_brain_mask(np.flip(ball, axis))
    np.testing.assert_array_equal(mirrored, np.flip(mask, axis - 1))


def test_the_image_is_left_alone(ball):
    before = ball.copy()
    stripped_brain_mask(ball)
    np.testing.assert_array_equal(ball, before)
