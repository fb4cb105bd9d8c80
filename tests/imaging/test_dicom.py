from pathlib import Path

import itk
import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import read_image
from monai_transfer.imaging.dicom import read_dicom

SPACING_MM = (0.9, 0.8, 4.0)
OBLIQUE = np.array([[0.0, 0.0, 1.0], [0.8, -0.6, 0.0], [0.6, 0.8, 0.0]])
"""LPS directions of a row, a column and the slices, as columns; a right-handed turn."""

SIZE = (7, 5, 4)


def write_series(
    folder: Path,
    *,
    volume: np.ndarray,
    directions: np.ndarray = OBLIQUE,
    uid: str = "1.2.3.1",
    number: int = 301,
    leave_out: tuple[int, ...] = (),
    tilt_mm: float = 0.0,
    slope: float = 2.0,
) -> None:
    """Write a series of int16 slices, the last one first, under names that tell no order."""
    folder.mkdir(exist_ok=True)
    for z in reversed(range(volume.shape[2])):
        if z in leave_out:
            continue
        origin = np.array([10.0, -20.0, 30.0]) + directions[:, 2] * SPACING_MM[2] * z
        origin += directions[:, 1] * tilt_mm * z
        image = itk.image_from_array(
            np.ascontiguousarray(volume[:, :, z : z + 1].T.astype(np.int16))
        )
        image.SetSpacing(SPACING_MM)
        image.SetOrigin(origin)
        image.SetDirection(directions)
        tags = image.GetMetaDataDictionary()
        tags["0010|0010"] = "DOE^JANE"
        tags["0008|0060"] = "MR"
        tags["0020|000d"] = "1.2.3"
        tags["0020|000e"] = uid
        tags["0008|0018"] = f"{uid}.{z + 1}"
        tags["0020|0011"] = f"{number}"
        tags["0020|0013"] = f"{z + 1}"
        tags["0028|1052"], tags["0028|1053"] = "-3", f"{slope}"
        io = itk.GDCMImageIO.New()
        io.SetKeepOriginalUID(True)
        itk.imwrite(image, str(folder / f"{uid}.{97 - 13 * z}"), imageio=io)


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 500, SIZE).astype(np.float32)


def test_slices_are_read_in_the_order_of_their_positions(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "t1", volume=2 * volume - 3)
    image = read_image(tmp_path / "t1")
    assert image.voxels.dtype == np.float32
    np.testing.assert_allclose(image.voxels, 2 * volume - 3)


def test_each_voxel_lies_where_the_headers_say(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "t1", volume=volume)
    affine = read_dicom(tmp_path / "t1").affine
    lps = np.array([10.0, -20.0, 30.0]) + OBLIQUE @ (np.array(SPACING_MM) * (3, 2, 1))
    np.testing.assert_allclose(affine @ [3, 2, 1, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-4)


def test_of_several_series_one_is_chosen_by_its_number(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "in", volume=volume, uid="1.2.3.1", number=301)
    write_series(tmp_path / "in", volume=2 * volume - 1, uid="1.2.3.2", number=401)
    with pytest.raises(InputError, match=r"one series, got 301 \(4 files\), 401 \(4 files\)"):
        read_dicom(tmp_path / "in")
    np.testing.assert_allclose(read_dicom(tmp_path / "in", series="401").voxels, 2 * volume - 1)
    with pytest.raises(InputError, match="one of 301, 401, got 302"):
        read_dicom(tmp_path / "in", series="302")


def test_series_that_share_a_number_are_told_apart(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "in", volume=volume, uid="1.2.3.1")
    write_series(tmp_path / "in", volume=volume, uid="1.2.3.2")
    with pytest.raises(InputError, match=r"got 301\.1 \(4 files\), 301\.2"):
        read_dicom(tmp_path / "in")


def test_a_missing_slice_is_refused_and_found(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "t1", volume=np.concatenate([volume, volume], -1), leave_out=(5,))
    got = r"t1: slices must be equally far apart, got 8\.00 mm from slice 5 to 6, elsewhere 4\.00"
    with pytest.raises(InputError, match=got):
        read_dicom(tmp_path / "t1")


def test_a_gantry_tilt_is_refused(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "t1", volume=volume, tilt_mm=0.5)
    with pytest.raises(InputError, match=r"0\.50 mm sideways for each slice \(gantry tilt\)"):
        read_dicom(tmp_path / "t1")


def test_a_multi_frame_file_is_refused(tmp_path: Path, volume: np.ndarray):
    image = itk.image_from_array(np.ascontiguousarray(volume.T.astype(np.uint16)))
    itk.imwrite(image, str(tmp_path / "one.dcm"), imageio=itk.GDCMImageIO.New())
    with pytest.raises(InputError, match="no multi-frame"):
        read_dicom(tmp_path)


def test_a_folder_without_dicom_and_a_single_slice_are_refused(tmp_path: Path, volume: np.ndarray):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="empty: folder must hold a DICOM series"):
        read_dicom(tmp_path / "empty")
    write_series(tmp_path / "t1", volume=volume, leave_out=(0, 1, 2))
    with pytest.raises(InputError, match="two slices or more, got 1"):
        read_dicom(tmp_path / "t1")


def test_no_message_shows_a_text_of_the_headers(tmp_path: Path, volume: np.ndarray):
    write_series(tmp_path / "in", volume=volume, uid="1.2.3.1", number=1)
    write_series(tmp_path / "in", volume=volume, uid="1.2.3.2", number=2)
    with pytest.raises(InputError) as fault:
        read_dicom(tmp_path / "in")
    assert "DOE" not in str(fault.value)
    assert "1.2.3" not in str(fault.value)
