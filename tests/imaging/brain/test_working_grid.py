import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

from monai_transfer.imaging import Image
from monai_transfer.imaging.brain.working_grid import (
    averaging,
    from_working_grid,
    interpolation,
    normalised,
    to_working_grid,
)


def test_fine_voxels_are_averaged_over_three_millimetres():
    # Six voxels of 1 mm become two of 3 mm: thirds of the first three, thirds of the last three.
    third = 1 / 3
    expected = [[third] * 3 + [0] * 3, [0] * 3 + [third] * 3]
    np.testing.assert_allclose(averaging(6, 1.0), expected, atol=1e-6)


def test_coarse_slices_are_interpolated_with_the_same_middle():
    # Two slices of 6 mm, centres at ±3 mm; four voxels of 3 mm, centres at ±1.5 and ±4.5 mm.
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(averaging(2, 6.0), expected, atol=1e-6)


@pytest.mark.parametrize("spacing_mm", [0.6, 0.9, 2.999, 3.0, 3.3, 5.5])
@pytest.mark.parametrize("count", [1, 26, 45])
def test_weights_sum_to_one_and_do_not_move_the_image(spacing_mm, count):
    there, back = averaging(count, spacing_mm), interpolation(count, spacing_mm)
    np.testing.assert_allclose(there.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(back.sum(axis=1), 1.0, atol=1e-5)
    middle = slice(count // 4, count - count // 4)
    ramp_mm = spacing_mm * (np.arange(count) - 0.5 * (count - 1))
    np.testing.assert_allclose((back @ (there @ ramp_mm))[middle], ramp_mm[middle], atol=0.05)


def test_values_end_at_one_and_a_half_times_the_high_percentile():
    image = np.linspace(-1.0, 1.0, 1001, dtype=np.float32).reshape(1, 7, 143)
    image[0, 0, 0] = 100.0
    scaled = normalised(image)
    assert scaled.min() == 0
    assert scaled.max() == 1.5
    assert np.count_nonzero(scaled > 1.0) == pytest.approx(6, abs=1)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PIR", "SLA"])
def test_the_order_in_which_voxels_are_stored_makes_no_difference(codes):
    rng = np.random.default_rng(0)
    blob = ndimage.gaussian_filter(rng.normal(size=(30, 34, 11)), 2).astype(np.float32)
    affine = np.diag([1.5, 1.2, 5.0, 1.0])
    stored = nib.Nifti1Image(blob, affine)
    order = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    turned = stored.as_reoriented(order)
    image = Image(np.asarray(turned.dataobj), turned.affine)
    upright = to_working_grid(Image(blob, affine))
    np.testing.assert_allclose(to_working_grid(image), upright, atol=1e-5)
    back = nib.Nifti1Image(from_working_grid(upright, image), turned.affine)
    expected = from_working_grid(upright, Image(blob, affine))
    np.testing.assert_allclose(nib.as_closest_canonical(back).dataobj, expected, atol=1e-5)
