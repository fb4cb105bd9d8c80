import numpy as np
import pytest

from monai_transfer.imaging import Image
from monai_transfer.imaging.registration.pyramid import graded, pyramid, reduced, refined


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> Image:
    """An image whose intensity is its world position along a slanted direction."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    return Image((world @ [1.0, 2.0, -1.0]).astype(np.float32), affine)


AFFINE = np.array([[-0.5, 0, 0, 20], [0, 0.7, 0.4, -8], [0, -0.1, 3.0, 5], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 4.0])
def test_thinning_out_leaves_every_voxel_where_it_is(spacing_mm: float):
    coarse = reduced(ramp((60, 60, 20), AFFINE), spacing_mm=spacing_mm)
    expected = ramp(coarse.shape, coarse.affine).voxels
    core = np.s_[5:-5, 5:-5, 2:-2]  # at the rim the smoothing sees the repeated edge
    np.testing.assert_allclose(coarse.voxels[core], expected[core], atol=1e-3)
    assert (np.abs(np.log(coarse.spacing_mm / spacing_mm)) < np.log(1.5))[:2].all()


def test_cubic_splines_between_slices_leave_every_voxel_where_it_is():
    fine = refined(ramp((6, 7, 20), AFFINE), spacing_mm=1.5)
    assert fine.shape == (6, 7, 39)
    expected = ramp(fine.shape, fine.affine).voxels
    np.testing.assert_allclose(fine.voxels[:, :, 8:-8], expected[:, :, 8:-8], atol=1e-2)


def test_the_slices_themselves_are_kept_and_overshoot_is_not():
    steps = Image(np.zeros((2, 2, 12), np.float32), np.diag([1.0, 1, 3, 1]))
    steps.voxels[:, :, 6:] = 31
    fine = refined(steps, spacing_mm=1.0)
    np.testing.assert_allclose(fine.voxels[:, :, ::3], steps.voxels, atol=1e-4)
    assert fine.voxels.min() >= 0
    assert fine.voxels.max() <= 31


def test_each_level_is_made_from_the_one_before():
    image = ramp((40, 40, 40), np.eye(4))
    fine, coarse = pyramid(image, spacings_mm=(2.0, 4.0))
    np.testing.assert_array_equal(coarse.voxels, reduced(fine, spacing_mm=4.0).voxels)
    assert coarse.shape == (10, 10, 10)


def test_grades_run_from_the_darkest_to_the_brightest_thousandth():
    values = np.random.default_rng(0).permutation(np.arange(8000.0)).reshape(20, 20, 20)
    values[values == 7999] = 1e6  # a vessel
    found = graded(Image(values, np.eye(4)), grades=31).voxels
    assert found.dtype == np.float32
    assert (found.min(), found.max()) == (0, 31)
    middle = found[np.isclose(values, 4000)]
    np.testing.assert_allclose(middle, 15.5, atol=0.05)


def test_the_background_of_a_stripped_image_does_not_count():
    values = np.zeros((10, 10, 10), np.float32)
    values[:4, :4, :4] = 100 + np.arange(64).reshape(4, 4, 4)
    found = graded(Image(values, np.eye(4)), grades=31).voxels
    assert found[0, 0, 1] < 1
    assert found[3, 3, 3] == 31
    assert found[9, 9, 9] == 0


def test_a_constant_image_has_one_grade():
    assert not graded(Image(np.full((3, 3, 3), 7.0), np.eye(4)), grades=31).voxels.any()
