import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.simulation.nifti import is_whole, nifti_bytes

OBLIQUE = np.array([[2, 0, 0.6, 1], [0, 2, 0, 2], [-0.2, 0, 6, 3], [0, 0, 0, 1]])


@pytest.fixture
def data() -> bytes:
    return nifti_bytes(np.arange(24, dtype=np.int16).reshape(2, 3, 4), OBLIQUE, form_code=1)


def test_archives_hold_neither_time_nor_name(data):
    flags, time = data[3], data[4:8]
    assert flags == 0  # no file name, no comment
    assert time == b"\0\0\0\0"


def test_an_image_reads_back_as_it_was(data):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(data))
    np.testing.assert_array_equal(image.dataobj, np.arange(24).reshape(2, 3, 4))
    np.testing.assert_allclose(image.affine, OBLIQUE, atol=1e-6)
    assert int(image.header["qform_code"]) == int(image.header["sform_code"]) == 1


def test_a_file_is_whole_or_not(data, tmp_path: Path):
    file = tmp_path / "image.nii.gz"
    found = []
    for content in (data, data[:-9], gzip.compress(b"text"), b"text"):
        file.write_bytes(content)
        found.append(is_whole(file))
    assert found == [True, False, False, False]
