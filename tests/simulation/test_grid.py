"""Sampling grids."""

import numpy as np
import pytest

from monai_transfer.simulation.grid import Grid

MNI = Grid((182, 218, 182), 1.0, (-91.0, -126.0, -72.0))


@pytest.mark.parametrize("spacing_mm", [0.5, 2.0, 4.0])
def test_respacing_keeps_the_corner_of_the_field_of_view(spacing_mm: float) -> None:
    other = MNI.respaced(spacing_mm)
    corner = np.array(other.origin_mm) - spacing_mm / 2
    np.testing.assert_allclose(corner, (-91.5, -126.5, -72.5))
    assert other.shape == tuple(round(n / spacing_mm) for n in MNI.shape)


def test_cropping_keeps_world_positions() -> None:
    part = MNI.crop((slice(10, 20), slice(0, 5), slice(100, 101)))
    assert part.shape == (10, 5, 1)
    assert part.affine @ (0, 0, 0, 1) == pytest.approx(MNI.affine @ (10, 0, 100, 1))


def test_points_run_along_x_y_z() -> None:
    points = Grid((2, 3, 4), 2.0, (0.0, 10.0, 20.0)).points_mm()
    assert points.shape == (3, 2, 3, 4)
    assert points[:, 1, 2, 3].tolist() == [2.0, 14.0, 26.0]
