import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

from monai_transfer._metaimage import load_metaimage
from monai_transfer.data.images import read_scan
from monai_transfer.simulation.metaimage import is_whole_metaimage, metaimage_bytes

VOXELS = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
LPS = np.array([[-1.0, 0, 0, 0], [0, -2, 0, 238], [0, 0, 1.5, -7], [0, 0, 0, 1]])
OBLIQUE = np.array([[1.8, 0, 0.4, 1], [0, 2, 0, 2], [-0.6, 0, 1.2, 3], [0, 0, 0, 1]])

# in a process of its own: where warnings are errors, loading ITK ends the interpreter
_ITK = """
import itk
for name in ("upright", "oblique"):
    itk.imwrite(itk.imread(f"{name}.mha"), f"{name}.nii")
"""


def test_itk_and_we_read_the_images_that_were_written(tmp_path: Path):
    affines = {"upright": LPS, "oblique": OBLIQUE}
    for name, affine in affines.items():
        (tmp_path / f"{name}.mha").write_bytes(metaimage_bytes(VOXELS, affine))
    subprocess.run([sys.executable, "-c", _ITK], cwd=tmp_path, check=True)
    for name, affine in affines.items():
        for image in (load_metaimage(tmp_path / f"{name}.mha"), nib.load(tmp_path / f"{name}.nii")):
            np.testing.assert_array_equal(np.asanyarray(image.dataobj), VOXELS)
            np.testing.assert_allclose(image.affine, affine, atol=1e-5)


def test_the_header_is_that_of_the_real_files_and_names_nobody(tmp_path: Path):
    content = metaimage_bytes(VOXELS, LPS)
    lines = content.partition(b"LOCAL\n")[0].decode().splitlines()
    assert "TransformMatrix = 1 0 0 0 1 0 0 0 1" in lines
    assert "Offset = 0 -238 -7" in lines
    (tmp_path / "image.mha").write_bytes(content)
    assert read_scan(tmp_path / "image.mha").identifying == ()


def test_a_file_is_whole_or_not(tmp_path: Path):
    data, file = metaimage_bytes(VOXELS, LPS), tmp_path / "image.mha"
    found = []
    for content in (data, data[:-9], data + b"more", b"text"):
        file.write_bytes(content)
        found.append(is_whole_metaimage(file))
    assert found == [True, False, False, False]
