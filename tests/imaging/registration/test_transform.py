from pathlib import Path

import itk
import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging.registration import LinearTransform, SpatialTransform, about

MATRIX = np.array([[0.9, 0.1, 0, 5], [-0.2, 1.1, 0.05, -3], [0, 0.02, 1.02, 8], [0, 0, 0, 1.0]])
POINTS = np.random.default_rng(0).normal(scale=50, size=(20, 3))


def test_points_are_mapped_by_the_matrix():
    found = LinearTransform(MATRIX).points(np.array([[10.0, 0.0, 100.0]]))
    # 9 + 5; -2 + 5 - 3; 102 + 8
    np.testing.assert_allclose(found, [[14.0, 0.0, 110.0]], atol=1e-12)


def test_the_inverse_leads_back():
    transform = LinearTransform(MATRIX)
    there_and_back = transform.then(transform.inverse()).points(POINTS)
    np.testing.assert_allclose(there_and_back, POINTS, atol=1e-12)


def test_one_map_after_another_is_both_in_this_order():
    first, second = LinearTransform(MATRIX), LinearTransform(np.diag([2.0, 1, 1, 1]))
    expected = second.points(first.points(POINTS))
    np.testing.assert_allclose(first.then(second).points(POINTS), expected)
    assert not np.allclose(second.then(first).points(POINTS), expected)


def test_the_centre_moves_by_the_translation_alone():
    centre, shift = np.array([3.0, -20.0, 40.0]), np.array([1.0, 2.0, 3.0])
    transform = about(MATRIX[:3, :3], shift, centre_mm=centre)
    np.testing.assert_allclose(transform.points(centre[None])[0], centre + shift)
    np.testing.assert_array_equal(transform.matrix[:3, :3], MATRIX[:3, :3])


@pytest.mark.parametrize("suffix", [".txt", ".tfm"])
def test_itk_reads_what_is_saved(tmp_path: Path, suffix: str):
    path = tmp_path / f"t{suffix}"
    LinearTransform(MATRIX).save(path)
    (read,) = itk.transformread(str(path))
    found = [tuple(read.TransformPoint(point)) for point in POINTS.tolist()]
    np.testing.assert_allclose(found, LinearTransform(MATRIX).points(POINTS), rtol=1e-14)


def test_another_suffix_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"end in \.tfm or \.txt"):
        LinearTransform(MATRIX).save(tmp_path / "t.mat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "matrix",
    [np.diag([1.0, 1, 0, 1]), np.diag([1.0, np.nan, 1, 1]), np.diag([1.0, 1, 1, 2])],
    ids=["flat", "not a number", "projective"],
)
def test_what_is_no_affine_map_is_refused(matrix: np.ndarray):
    with pytest.raises(InputError, match="finite and invertible"):
        LinearTransform(matrix)


def test_a_linear_transform_is_a_spatial_transform_and_takes_only_its_like():
    class Warp:
        points = inverse = then = save = lambda self, *_: self

    transform = LinearTransform(MATRIX)
    assert isinstance(transform, SpatialTransform)
    with pytest.raises(InputError, match="be linear, got Warp"):
        transform.then(Warp())
