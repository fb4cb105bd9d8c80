"""Smooth fields and separable interpolation."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline

from monai_transfer.simulation.fields import (
    apply_separable,
    draw_smooth_field,
    linear_weights,
    smooth_field,
    spline_weights,
)


def test_separable_linear_weights_interpolate_like_scipy() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((5, 6, 7)).astype(np.float32)
    positions = [np.linspace(0.0, n - 1, 11) for n in values.shape]
    x, y, z = (linear_weights(p, n) for p, n in zip(positions, values.shape, strict=True))
    expected = ndimage.map_coordinates(values, np.meshgrid(*positions, indexing="ij"), order=1)
    np.testing.assert_allclose(apply_separable(values, (x, y, z)), expected, atol=1e-5)


def test_spline_weights_are_the_cubic_b_spline() -> None:
    positions = np.linspace(2.0, 5.0, 13)
    oracle = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    expected = np.nan_to_num(oracle(positions[:, None] - np.arange(8)[None, :]))
    np.testing.assert_allclose(spline_weights(positions, 8), expected, atol=1e-6)


def test_a_smooth_field_has_mean_zero_and_unit_deviation() -> None:
    field = smooth_field(np.random.default_rng(1), (80, 80, 80), spacing_mm=1.0, scale_mm=3.0)
    assert abs(float(field.mean())) < 0.05
    assert float(field.std()) == pytest.approx(1.0, abs=0.06)


def test_a_smooth_field_is_smooth_over_its_scale() -> None:
    field = smooth_field(np.random.default_rng(1), (80, 80, 80), spacing_mm=1.0, scale_mm=8.0)
    near, far = (np.corrcoef(field[:-n].ravel(), field[n:].ravel())[0, 1] for n in (1, 32))
    assert near > 0.95
    assert abs(far) < 0.3


def test_one_seed_gives_one_field_whatever_the_spacing() -> None:
    fine = smooth_field(np.random.default_rng(2), (32, 32, 32), spacing_mm=1.0, scale_mm=9.0)
    coarse = smooth_field(np.random.default_rng(2), (16, 16, 16), spacing_mm=2.0, scale_mm=9.0)
    averaged = fine.reshape(16, 2, 16, 2, 16, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(averaged, coarse, atol=0.05)


def test_some_planes_of_a_field_are_those_of_the_whole() -> None:
    shape = (40, 30, 20)
    whole, drawn = (
        draw(np.random.default_rng(3), shape, spacing_mm=1.0, scale_mm=5.0)
        for draw in (smooth_field, draw_smooth_field)
    )
    np.testing.assert_allclose(drawn.on(slice(7, 12)), whole[7:12], atol=1e-6)
