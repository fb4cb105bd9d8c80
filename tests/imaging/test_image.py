from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image, write_image

OBLIQUE = np.array([[0, -0.9, 0.1, 7], [1, 0, 0, -3], [0, 0.1, 2.9, 5], [0, 0, 0, 1.0]])


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_image(Image(voxels, OBLIQUE), tmp_path / "a.nii.gz")
    found = read_image(tmp_path / "a.nii.gz")
    assert found.voxels.dtype == np.int16
    np.testing.assert_array_equal(found.voxels, voxels)
    np.testing.assert_allclose(found.affine, OBLIQUE, atol=1e-6)


def test_a_mask_is_written_as_zeros_and_ones(tmp_path: Path) -> None:
    mask = np.eye(3, dtype=bool)[None]
    write_image(Image(mask, np.eye(4)), tmp_path / "mask.nii")
    found = read_image(tmp_path / "mask.nii").voxels
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, mask)


def test_scaled_integers_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((2, 2, 2), 3, np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 1.0)
    nib.save(image, tmp_path / "scaled.nii")
    assert read_image(tmp_path / "scaled.nii").voxels.tolist() == np.full((2, 2, 2), 2.5).tolist()


def test_big_endian_voxels_and_a_trailing_axis_of_one_are_read(tmp_path: Path) -> None:
    voxels = np.arange(8.0).reshape(2, 2, 2, 1).astype(">f4")
    nib.save(
        nib.Nifti1Image(voxels, np.eye(4), nib.Nifti1Header(endianness=">")), tmp_path / "be.nii"
    )
    found = read_image(tmp_path / "be.nii").voxels
    assert found.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(found, voxels[..., 0])


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "4d", "singular"])
def test_a_file_that_is_no_whole_3d_image_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "broken.nii"
    if damage == "text":
        path.write_text("not an image")
    elif damage != "missing":
        shape = (2, 2, 2, 3) if damage == "4d" else (8, 8, 8)
        affine = np.diag([1.0, 1, 0, 1]) if damage == "singular" else np.eye(4)
        image = nib.Nifti1Image(np.ones(shape), np.eye(4))
        image.set_sform(affine, code=2)
        nib.save(image, path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"broken\.nii"):
        read_image(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    image = Image(np.ones((2, 2, 2)), np.eye(4))
    write_image(image, tmp_path / "a.nii")
    before = (tmp_path / "a.nii").read_bytes()
    with pytest.raises(nib.spatialimages.HeaderDataError):
        write_image(image.with_voxels(np.ones((2, 2, 2), dtype="M8[D]")), tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"end in \.nii"):
        write_image(Image(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "a.mgz")
