import numpy as np
import pytest

from monai_transfer.simulation.head_images import draw_pair
from monai_transfer.simulation.head_labels import HeadLabels, draw_head_labels


@pytest.fixture(scope="module")
def head() -> HeadLabels:
    return draw_head_labels(np.random.default_rng(3))


def test_a_pair_is_the_same_for_the_same_seed_and_another_for_another(head):
    one, same, other = (draw_pair(np.random.default_rng(s), head) for s in (5, 5, 6))
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert one[0].shape != other[0].shape or not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("seed", range(6))
def test_a_pair_is_an_image_and_fractions_on_one_grid(seed, head):
    image, target = draw_pair(np.random.default_rng(seed), head)
    assert image.shape == target.shape
    assert all(20 <= n <= most for n, most in zip(image.shape, (64, 80, 64), strict=True))
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert target.min() >= 0
    assert target.max() == pytest.approx(1.0, abs=1e-5)
    litres = target.sum() * 27 / 1e6
    assert 0.4 < litres < 2.5


def test_where_the_target_is_is_where_the_head_is(head):
    overlaps = []
    for seed in range(8):
        image, target = draw_pair(np.random.default_rng(seed), head)
        background = np.percentile(image, 10)
        overlaps.append((image[target > 0.9] > background).mean())
    assert np.mean(overlaps) > 0.9
