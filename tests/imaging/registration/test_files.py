from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from monai_transfer.errors import InputError
from monai_transfer.imaging.registration import (
    Grid,
    LinearTransform,
    from_flirt,
    from_ras,
    read_matrix,
    read_transform,
)

TEXT = """#Insight Transform File V1.0
#Transform 0
Transform: MatrixOffsetTransformBase_double_3_3
Parameters: 0 -1 0 1 0 0 0 0 1 10 20 30
FixedParameters: 5 0 0
"""
ORIGIN = np.zeros((1, 3))


def written(folder: Path, text: str) -> Path:
    path = folder / "t.txt"
    path.write_text(text)
    return path


def test_the_type_that_itk_for_python_does_not_know_is_read(tmp_path: Path):
    transform = read_transform(written(tmp_path, TEXT))
    # (0, 0, 0) - centre = (-5, 0, 0) → turned (0, -5, 0) → + centre + translation
    np.testing.assert_allclose(transform.points(ORIGIN), [[15.0, 15.0, 30.0]])


def test_what_is_saved_is_read_back(tmp_path: Path):
    matrix = np.eye(4) + np.array([[0.01, 1 / 3, 0, 7]] * 3 + [[0, 0, 0, 0]])
    LinearTransform(matrix).save(tmp_path / "t.tfm")
    np.testing.assert_array_equal(read_transform(tmp_path / "t.tfm").matrix, matrix)


def test_the_binary_form_of_ants_is_read(tmp_path: Path):
    numbers = [float(word) for word in TEXT.splitlines()[3].split()[1:]]
    variables = {
        "AffineTransform_double_3_3": np.array([numbers]).T,
        "fixed": np.array([[5, 0, 0]]).T,
    }
    savemat(tmp_path / "0GenericAffine.mat", variables, format="4")
    found = read_transform(tmp_path / "0GenericAffine.mat").matrix
    np.testing.assert_array_equal(found, read_transform(written(tmp_path, TEXT)).matrix)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MatrixOffsetTransformBase", "Euler3DTransform", "got Euler3DTransform_double_3_3"),
        ("10 20 30", "10 20", "be 12 and 3 finite numbers, got 11 and 3"),
        ("10 20 30", "10 20 nan", "be 12 and 3 finite numbers"),
        ("10 20 30", "10 20 x", "be numbers"),
        ("0 0 1 10", "0 0 0 10", "finite and invertible"),
        ("FixedParameters: 5 0 0\n", "", "be Transform, Parameters and FixedParameters"),
        ("FixedParameters: 5 0 0\n", TEXT, "hold one ITK transform"),
        ("#Insight Transform File V1.0\n", "", "be an ITK transform, text or .mat"),
        (TEXT, "", "be an ITK transform, text or .mat"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str):
    assert old in TEXT
    with pytest.raises(InputError, match=message) as caught:
        read_transform(written(tmp_path, TEXT.replace(old, new)))
    assert caught.value.where == "t.txt"


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.txt: file"):
        read_transform(tmp_path / "gone.txt")
    with pytest.raises(InputError, match=r"gone\.mat: file"):
        read_matrix(tmp_path / "gone.mat")


@pytest.mark.parametrize("text", ["1 0 0\n0 1 0\n0 0 1\n", "1 0 0 0\n0 1 0\n", "words\n"])
def test_four_rows_of_four_numbers_are_asked_for(tmp_path: Path, text: str):
    with pytest.raises(InputError, match=r"t\.txt: file must hold four rows of four numbers"):
        read_matrix(written(tmp_path, text))


def test_a_map_in_ras_has_x_and_y_turned(tmp_path: Path):
    matrix = read_matrix(written(tmp_path, "1 0 0 5\n0 1 0 6\n0 0 1 7\n0 0 0 1\n"))
    np.testing.assert_array_equal(from_ras(matrix).points(ORIGIN), [[-5.0, -6.0, 7.0]])


def test_flirt_goes_from_moving_to_fixed_in_scaled_voxels_with_x_to_the_left():
    # Both grids have 2 mm voxels. FLIRT's x is 2·i on the LAS grid, 2·(9 − i) on the RAS one.
    las = Grid((10, 10, 10), np.array([[-2, 0, 0, 9], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]]))
    ras = Grid((10, 10, 10), np.array([[2, 0, 0, -9], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]]))
    six_left = np.eye(4)
    six_left[0, 3] = 6.0  # moving → fixed: x_fixed = x_moving + 6
    # Voxel 0 of LAS, at R 9: FLIRT's 0; in the moving one −6: there R 9 + 6 on both grids.
    start = np.array([[-9.0, 0.0, 0.0]])  # R 9 in LPS
    for fixed in (las, ras):
        for moving in (las, ras):
            found = from_flirt(six_left, fixed=fixed, moving=moving).points(start)
            np.testing.assert_allclose(found, [[-15.0, 0.0, 0.0]])


def test_flirt_without_a_turn_lays_corner_on_corner():
    fine = Grid((10, 10, 10), np.diag([-1.0, 1, 1, 1]))
    coarse = Grid((5, 5, 5), np.array([[-2, 0, 0, 30], [0, 2, 0, 4], [0, 0, 2, 7], [0, 0, 0, 1.0]]))
    found = from_flirt(np.eye(4), fixed=fine, moving=coarse).points(ORIGIN)
    np.testing.assert_allclose(found, [[-30.0, -4.0, 7.0]])  # voxel 0 of the one and of the other
