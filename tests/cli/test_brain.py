import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from monai_transfer.cli import app
from monai_transfer.imaging import Image, read_image, write_image

STRIPPER = """#!{python}
import nibabel as nib, sys
head = nib.load(sys.argv[1])
nib.save(nib.Nifti1Image((head.get_fdata() > 5).astype('u1'), head.affine), sys.argv[2])
"""


def brain(*arguments: object):
    return CliRunner().invoke(app, ["brain", *map(str, arguments)], prog_name="monai-transfer")


def head(folder: Path) -> Path:
    voxels = np.zeros((10, 10, 10), np.int16)
    voxels[2:7, 2:7, 2:7] = 9
    write_image(Image(voxels, np.diag([20.0, 20.0, 20.0, 1.0])), folder / "head.nii.gz")
    return folder / "head.nii.gz"


def test_the_mask_lies_on_the_image_and_its_volume_is_told(tmp_path: Path):

    stripper = tmp_path / "stripper.py"
    stripper.write_text(STRIPPER.format(python=sys.executable))
    stripper.chmod(0o755)
    output = tmp_path / "new" / "mask.nii.gz"
    result = brain(head(tmp_path), "--output", output, "--method", f"{stripper} {{image}} {{mask}}")
    assert result.exit_code == 0, result.output
    assert "1.00 L of brain" in result.output  # 5³ voxels of 8 mL
    mask = read_image(output)
    assert mask.voxels.dtype == np.uint8
    assert mask.voxels.sum() == 125
    np.testing.assert_allclose(mask.affine, np.diag([20.0, 20.0, 20.0, 1.0]))


def test_a_method_that_is_not_there_is_one_line_and_status_1(tmp_path: Path):
    result = brain(head(tmp_path), "--output", tmp_path / "m.nii.gz", "--method", "hdbet")
    assert result.exit_code == 1
    assert result.output.startswith("error: brain extraction: method must be one of deepbet")
    assert not (tmp_path / "m.nii.gz").exists()
