import numpy as np
import pytest

from monai_transfer._grids import apart_mm, is_one_grid

SHAPE = (240, 240, 155)


def moved(row, column, amount):
    affine = np.diag([-1.0, -1, 1, 1])
    affine[row, column] += amount
    return affine


@pytest.mark.parametrize(
    ("row", "column", "amount", "away_mm"),
    [
        (0, 3, 0.5, 0.5),
        (1, 0, 0.001, 0.239),  # 239 steps to the last of 240 voxels
        (2, 2, -0.01, 1.54),
        (0, 0, 0.0, 0.0),
    ],
)
def test_the_distance_is_that_of_the_corner_that_moves_most(row, column, amount, away_mm):
    good = np.diag([-1.0, -1, 1, 1])
    assert apart_mm(moved(row, column, amount), good, SHAPE) == pytest.approx(away_mm)
    assert apart_mm(good, moved(row, column, amount), SHAPE) == pytest.approx(away_mm)


@pytest.mark.parametrize("shape", [(8, 9, 7), SHAPE])
@pytest.mark.parametrize("column", range(4))
def test_jitter_of_a_hundred_thousandth_is_one_grid_and_a_hundredth_is_not(shape, column):
    good = np.diag([-1.0, -1, 1, 1])
    assert is_one_grid(apart_mm(moved(1, column, 1e-5), good, shape), shape)
    assert not is_one_grid(apart_mm(moved(1, column, 4e-2), good, shape), shape)
