import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data.byte_stream import ScanError
from monai_transfer.data.nifti import read_scan

OBLIQUE = np.array([[0.9, -0.3, 0, -5], [0.3, 0.9, 0.1, 7], [0, -0.1, 3, -2], [0, 0, 0, 1.0]])
TYPES = ["uint8", "int8", "int16", "uint16", "int32", "int64", "float32", "float64"]


def voxels(dtype="int16"):
    return (np.random.default_rng(0).normal(size=(8, 9, 7)) * 40 + 100).astype(dtype)


def save(path, array, *, kind=nib.Nifti1Image, affine=OBLIQUE, order="<", slope=None):
    image = kind(array, affine, kind.header_class(endianness=order), dtype=array.dtype)
    if slope is not None:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


def assert_reads_as_nibabel_does(path):
    scan, image = read_scan(path), nib.load(path)
    assert scan.shape == image.shape
    np.testing.assert_array_equal(scan.affine, image.affine)
    expected = np.asarray(image.dataobj, dtype=np.float32).ravel(order="F")
    np.testing.assert_array_equal(scan.values(scan.voxels), expected)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_real_type_version_and_byte_order_reads_as_nibabel_reads_it(
    tmp_path, dtype, kind, order, ending
):
    path = save(tmp_path / f"a.{ending}", voxels(dtype), kind=kind, order=order)
    assert_reads_as_nibabel_does(path)
    scan = read_scan(path)
    assert scan.voxels.dtype == np.dtype(dtype).newbyteorder(order)
    assert not scan.voxels.flags.writeable


def test_scaled_numbers_are_scaled(tmp_path):
    path = save(tmp_path / "a.nii.gz", voxels().astype(np.float32), slope=(0.5, 3.0))
    assert (read_scan(path).slope, read_scan(path).intercept) == (0.5, 3.0)
    assert_reads_as_nibabel_does(path)


def test_a_header_extension_is_passed_over(tmp_path):
    image = nib.Nifti1Image(voxels(), OBLIQUE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"simulated" * 100))
    nib.save(image, tmp_path / "a.nii.gz")
    assert_reads_as_nibabel_does(tmp_path / "a.nii.gz")


def test_a_file_zipped_in_pieces_or_padded_with_zeros_is_whole(tmp_path):
    plain = save(tmp_path / "a.nii", voxels()).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(b"".join(gzip.compress(plain[i : i + 300]) for i in range(0, len(plain), 300)))
    assert_reads_as_nibabel_does(path)
    path.write_bytes(gzip.compress(plain) + bytes(512))
    assert_reads_as_nibabel_does(path)


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, ending):
    whole = save(tmp_path / f"a.{ending}", voxels()).read_bytes()
    path = tmp_path / f"cut.{ending}"
    for size in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(ScanError) as error:
            read_scan(path)
        assert error.value.code in {"G203", "G204", "G205"}


def test_a_flipped_bit_in_a_zipped_file_is_refused_or_harmless(tmp_path):
    path = save(tmp_path / "a.nii.gz", voxels())
    whole, good = path.read_bytes(), read_scan(path)
    draw = np.random.default_rng(1)
    refused = 0
    for position, bit in zip(
        draw.integers(0, len(whole), 300), draw.integers(0, 8, 300), strict=True
    ):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            scan = read_scan(path)
        except ScanError:
            refused += 1
        else:  # a flag or the date in the gzip header
            assert scan.shape == good.shape
            np.testing.assert_array_equal(scan.voxels, good.voxels)
    assert refused > 285


def header_of(path, **fields):
    """Rewrite header fields of an unzipped file, whatever they then say."""
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(raw, nib.Nifti1Header.template_dtype, count=1).copy()
    for name, value in fields.items():
        header[name] = value
    raw[: header.nbytes] = header.tobytes()
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("fields", "code", "value"),
    [
        ({"sizeof_hdr": 99}, "G204", "no NIfTI header"),
        ({"magic": b"ni1"}, "G204", "its voxels are in another file"),
        ({"magic": b"xyz"}, "G204", "magic string"),
        ({"datatype": 1234}, "G204", "data code 1234"),
        ({"datatype": 32, "bitpix": 64}, "G204", "complex or RGB voxels"),
        ({"datatype": 128, "bitpix": 24}, "G204", "complex or RGB voxels"),
        ({"vox_offset": np.nan}, "G204", "NaN"),
        ({"vox_offset": np.inf}, "G204", "infinity"),
        ({"vox_offset": 400}, "G205", "960 bytes of voxels where 1008 are declared"),
        ({"dim": [3, 8, 0, 7, 1, 1, 1, 1]}, "G204", "the shape (8, 0, 7)"),
        ({"dim": [3, 8, -9, 7, 1, 1, 1, 1]}, "G204", "the shape (8, -9, 7)"),
        ({"dim": [3, 8, 9, 8, 1, 1, 1, 1]}, "G205", "1008 bytes of voxels where 1152"),
        ({"dim": [3, 8, 9, 6, 1, 1, 1, 1]}, "G205", "1008 bytes of voxels where 864"),
        (
            {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
            "G206",
            "70362301923326 bytes of voxels",
        ),
        ({"vox_offset": 3e38}, "G205", "0 bytes of voxels where 1008"),
        ({"scl_slope": 1, "scl_inter": np.inf}, "G204", "broken header"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3}, "G204", "broken header"),
    ],
)
def test_a_header_that_contradicts_the_file_is_refused(tmp_path, fields, code, value):
    path = header_of(save(tmp_path / "a.nii", voxels()), **fields)
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert error.value.code == code
    assert value in error.value.value


def test_what_is_not_worth_a_fault_is_not_printed_either(tmp_path, caplog):
    path = header_of(save(tmp_path / "a.nii", voxels()), qform_code=77)
    nib.load(path)
    assert "qform_code 77 not valid" in caplog.text
    caplog.clear()
    assert read_scan(path).shape == (8, 9, 7)
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "content", "code", "value"),
    [
        ("a.nii.gz", b"", "G204", "an empty file"),
        ("a.nii.gz", b"not gzip at all", "G203", "incorrect header check"),
        ("a.nii", b"hello, this is no scan", "G204", "no NIfTI header"),
        ("a.nii.gz", gzip.compress(b"hello, this is no scan"), "G204", "no NIfTI header"),
        ("a.mha", b"ObjectType = Image", "G204", "a name ending in .mha"),
        ("a", b"ObjectType = Image", "G204", "a name ending in nothing"),
    ],
)
def test_a_file_that_is_no_nifti_is_refused(tmp_path, name, content, code, value):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError) as error:
        read_scan(tmp_path / name)
    assert (error.value.code, error.value.value) == (code, value)


def test_a_name_that_does_not_tell_how_the_file_is_packed_is_refused(tmp_path):
    zipped = save(tmp_path / "a.nii.gz", voxels())
    plain = save(tmp_path / "b.nii", voxels())
    shutil.copy(zipped, tmp_path / "zipped.nii")
    shutil.copy(plain, tmp_path / "plain.nii.gz")
    for name, code in (("zipped.nii", "G204"), ("plain.nii.gz", "G203")):
        with pytest.raises(ScanError) as error:
            read_scan(tmp_path / name)
        assert error.value.code == code


def test_bytes_after_the_end_are_refused(tmp_path):
    path = save(tmp_path / "a.nii.gz", voxels())
    path.write_bytes(path.read_bytes() + b"appended")
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert (error.value.code, error.value.value) == ("G203", "8 bytes after its end")
    path.write_bytes(gzip.compress(save(tmp_path / "b.nii", voxels()).read_bytes() + bytes(5)))
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert error.value.code == "G205"


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    (tmp_path / "folder.nii").mkdir()
    for name, code in (("none.nii", "G201"), ("folder.nii", "G202")):
        with pytest.raises(ScanError) as error:
            read_scan(tmp_path / name)
        assert error.value.code == code


def test_real_scans_read_as_nibabel_reads_them(real):
    for file in (
        "openms-cs/sub-cs07/anat/sub-cs07_space-MNI_FLAIR.nii.gz",
        "rorden/sub-rorden/anat/sub-rorden_label-GM_probseg.nii.gz",
    ):
        assert_reads_as_nibabel_does(real / file)
