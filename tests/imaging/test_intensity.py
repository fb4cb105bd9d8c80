import numpy as np
import pytest
import torch
from monai.transforms import ScaleIntensityRangePercentiles

from monai_transfer.errors import InputError
from monai_transfer.imaging import scale_percentiles, standardise
from monai_transfer.imaging.intensity import DARKEST, brain_voxels, percentiles


def line(*values: float) -> np.ndarray:
    """One channel of voxels in a row."""
    return np.array(values, np.float64).reshape(1, -1, 1, 1)


@pytest.fixture
def head() -> np.ndarray:
    """Two channels, most voxels 0, with a heavy tail."""
    rng = np.random.default_rng(3)
    inside = rng.random((2, 21, 18, 16)) < 0.4
    return (rng.gamma(2.0, 90.0, inside.shape) * inside).astype(np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_percentiles_are_numpys(kind, order, head):
    values = np.asarray(head[0].clip(0, 250), kind, order=order)
    percents = [0, 0.1, 1, 33.3, 50, 98, 99.9, 100]
    found = percentiles(values, percents)
    np.testing.assert_allclose(found, np.percentile(values.astype(float), percents), rtol=1e-12)


def test_a_percentile_lies_between_the_two_nearest_values():
    # rank 0.25·(4 − 1) = 0.75: a quarter of 10 and three quarters of 20
    assert percentiles(np.array([40, 10, 30, 20]), [25, 100]).tolist() == [17.5, 40]
    assert percentiles(np.array([7.0]), [1, 99]).tolist() == [7, 7]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(InputError, match="values must be finite, got"):
        percentiles(np.array([1.0, value, 2.0]), [50])


def test_what_lies_between_the_percentiles_is_scaled_and_the_rest_clipped():
    # of 0, 1, …, 100 the 2nd and 98th percentile are 2 and 98; 50 becomes (50 − 2) / 96
    scaled = scale_percentiles(line(*range(101)), (2, 98)).ravel()
    np.testing.assert_allclose(scaled[[0, 2, 50, 98, 100]], [0, 0, 0.5, 1, 1], atol=1e-6)
    np.testing.assert_allclose(scaled[26], 0.25, atol=1e-6)
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("percents", [(1, 99), (2, 98)])
def test_it_is_monais_scaling_of_each_channel_clipped(percents, head):
    theirs = ScaleIntensityRangePercentiles(*percents, 0, 1, clip=True, channel_wise=True)
    expected = theirs(torch.tensor(head)).numpy()
    np.testing.assert_allclose(scale_percentiles(head, percents), expected, atol=2e-6)


def test_in_a_mask_the_background_does_not_count_and_stays_exactly_zero(head):
    mask = (head != 0).any(axis=0)
    scaled = scale_percentiles(head, (1, 99), mask=mask)
    low, high = np.percentile(head[1][mask].astype(float), (1, 99))
    expected = np.clip((head[1][mask] - low) / (high - low), DARKEST, 1)
    np.testing.assert_allclose(scaled[1][mask], expected, atol=1e-6)
    assert (scaled[:, ~mask] == 0).all()
    assert scaled[:, mask].min() == DARKEST
    assert np.abs(scaled - scale_percentiles(head, (1, 99))).max() > 0.01


@pytest.mark.parametrize("order", ["C", "F"])
def test_neither_the_memory_order_nor_the_number_type_matters(order, head):
    mask = np.asarray((head != 0).any(axis=0), order=order)
    other = np.asarray(head.astype(np.float64), order=order)
    for one in (mask, None):
        np.testing.assert_allclose(
            scale_percentiles(other, (1, 99), mask=one),
            scale_percentiles(head, (1, 99), mask=one),
            atol=1e-6,
        )


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (line(0, 0, 0, 9), None, "channel 0 must have different percentiles 1 and 60, got 0"),
        (line(5, 5, 5), [1, 1, 1], "channel 0 must have different percentiles .* got 5 for both"),
        (line(1, 2, 3), [0, 0, 0], "brain mask must hold at least one voxel"),
        (line(1, np.nan, 3), None, "values must be finite"),
    ],
)
def test_an_image_that_cannot_be_scaled_is_refused(image, mask, message):
    voxels = None if mask is None else np.array(mask, bool).reshape(-1, 1, 1)
    with pytest.raises(InputError, match=message):
        scale_percentiles(image, (1, 60), mask=voxels)


def test_brain_voxels_become_z_scores_on_the_scale_from_0_to_1():
    # mean 6, SD 2 (values 4, 4, 8, 8); z = −1 or 1; (z + 4) / 8 = 0.375 or 0.625
    image = line(0, 4, 4, 8, 8, 0)
    scaled = standardise(image, image[0] != 0)
    np.testing.assert_allclose(scaled.ravel(), [0, 0.375, 0.375, 0.625, 0.625, 0], rtol=1e-6)
    assert scaled.dtype == np.float32


def test_what_lies_beyond_the_range_is_clipped():
    # 99 ones and one 101: mean 2, SD sqrt(99·1 + 99²)/10 = 9.95; z = 9.95 → 1; −0.1005 → 0.4874
    image = line(*[1.0] * 99, 101.0)
    scaled = standardise(image, np.ones(image.shape[1:], bool)).ravel()
    assert scaled[-1] == 1
    np.testing.assert_allclose(scaled[:-1], 0.5 - 1 / 9.9498744 / 8, rtol=1e-6)
    with_more_room = standardise(image, np.ones(image.shape[1:], bool), clip_sd=20).ravel()
    np.testing.assert_allclose(with_more_room[-1], 0.5 + 9.9498744 / 40, rtol=1e-6)


def test_the_darkest_brain_voxel_is_not_mistaken_for_background():
    # 99 ones and one −99: z of the last is −9.95, far below the range
    image = line(0.0, *[1.0] * 99, -99.0)
    scaled = standardise(image, image[0] != 0).ravel()
    assert scaled[0] == 0
    assert scaled[-1] == DARKEST == 2**-10


@pytest.mark.parametrize("order", ["C", "F"])
def test_voxels_of_the_brain_are_counted_in_rows_whatever_the_memory(order):
    mask = np.zeros((2, 3, 2), bool, order=order)
    mask[0, 1, 1] = mask[1, 0, 0] = True
    assert brain_voxels(mask).tolist() == [3, 6]
