import gzip
import os
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import build_datalist, check_datalist, manifest_path, read_manifest
from monai_transfer.data.byte_stream import ScanError
from monai_transfer.data.images import read_scan

HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
CompressedData = True
Offset = 0 -239 0
DimSize = 4 5 6
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""


def write(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER.encode() + zlib.compress(voxels.astype(np.int16).tobytes(order="F")))


@pytest.fixture
def brats2015(tmp_path: Path) -> Path:
    """Three subjects as the challenge unpacks them."""
    tokens = ("XX.O.MR_T1", "XX.O.MR_T1c", "XX.O.MR_T2", "XX.O.MR_Flair", "XX.O.OT")
    for number in range(3):
        for i, token in enumerate(tokens):
            name = f"VSD.Brain.{token}.{54512 + i}"
            voxels = np.random.default_rng([number, i]).integers(1, 900, (4, 5, 6))
            folder = tmp_path / "HGG" / f"brats_2013_pat000{number}_1" / name
            write(folder / f"{name}.mha", voxels % 5 if token.endswith("OT") else voxels)
    return tmp_path


def test_a_metaimage_and_the_nifti_file_of_the_same_image_are_read_alike(tmp_path: Path):
    voxels = np.arange(120).reshape(4, 5, 6)
    write(tmp_path / "a.mha", voxels)
    affine = np.diag([-1.0, -1, 1, 1])
    affine[1, 3] = 239
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), affine), tmp_path / "a.nii.gz")
    ours, nifti = read_scan(tmp_path / "a.mha"), read_scan(tmp_path / "a.nii.gz")
    assert ours.shape == nifti.shape == (4, 5, 6)
    np.testing.assert_array_equal(ours.affine, nifti.affine)
    np.testing.assert_array_equal(ours.values(ours.voxels), nifti.values(nifti.voxels))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "G201"),
        (b"", "G204"),
        (gzip.compress(b"x"), "G204"),
        (HEADER.replace("4 5 6", "4 5 600000000").encode(), "G206"),
        (HEADER.encode() + zlib.compress(bytes(240))[:-2], "G203"),
        (HEADER.encode() + zlib.compress(bytes(239)), "G205"),
    ],
)
def test_damage_has_the_gate_s_codes(tmp_path: Path, content: bytes | None, code: str):
    if content is not None:
        (tmp_path / "a.mha").write_bytes(content)
    with pytest.raises(ScanError) as error:
        read_scan(tmp_path / "a.mha")
    assert error.value.code == code


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.mha")
    with pytest.raises(ScanError, match="a pipe or device"):
        read_scan(tmp_path / "a.mha")


def test_a_line_of_the_header_that_may_identify_a_patient_is_named(tmp_path: Path):
    write(tmp_path / "a.mha", np.arange(120).reshape(4, 5, 6))
    assert read_scan(tmp_path / "a.mha").identifying == ()
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(b"Comment = Jane Doe\nModality = MET_MOD_MR\n" + content)
    assert read_scan(tmp_path / "a.mha").identifying == ("Comment",)


def test_brats_2015_passes_the_gate_and_a_flipped_bit_in_it_does_not(brats2015: Path):
    described = read_manifest(manifest_path("brats2015"))
    datalist = build_datalist(described, brats2015, validation=1, test=1, check_counts=False)
    errors = [f for f in check_datalist(datalist, brats2015) if f.severity == "error"]
    assert errors == []
    image = datalist["training"][0]["image"][2]
    content = bytearray((brats2015 / image).read_bytes())
    content[-20] ^= 4
    (brats2015 / image).write_bytes(content)
    (fault,) = [f for f in check_datalist(datalist, brats2015) if f.severity == "error"]
    assert (fault.code, fault.file) == ("G203", image)
