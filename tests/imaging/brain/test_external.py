import os
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.brain import HD_BET, SYNTHSTRIP, ExternalExtraction

HEAD = Image(np.arange(24.0, dtype=np.float32).reshape(2, 3, 4), np.diag([2.0, 2.0, 5.0, 1.0]))


def program(folder: Path, name: str, body: str) -> None:
    """Put a Python program on the PATH under a name."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("method", "flag", "rename"),
    [(SYNTHSTRIP, "-m", ""), (HD_BET, "-o", ".replace('.nii.gz', '_bet.nii.gz')")],
    ids=["synthstrip", "hd-bet"],
)
def test_the_mask_is_read_from_where_the_program_writes_it(method, flag, rename, on_path):
    body = "import nibabel as nib, sys\n"
    body += "head = nib.load(sys.argv[sys.argv.index('-i') + 1])\n"
    body += f"to = sys.argv[sys.argv.index('{flag}') + 1]{rename}\n"
    body += "mask = (head.get_fdata() > 10).astype('uint8')\n"
    body += "nib.save(nib.Nifti1Image(mask, head.affine), to)\n"
    program(on_path, method.program, body)
    np.testing.assert_array_equal(method(HEAD), HEAD.voxels > 10)


@pytest.mark.parametrize("method", [HD_BET, SYNTHSTRIP])
def test_a_program_that_is_absent_is_named_with_where_to_get_it(method, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=f"{method.program}: program must be installed.*https"):
        method(HEAD)


@pytest.mark.parametrize(
    ("body", "fragment"),
    [
        ("import sys; print('no licence', file=sys.stderr); sys.exit(3)", "got status 3: no lic"),
        ("", "must write mask.nii.gz, got no such file"),
        (
            """import nibabel as nib, numpy as np, sys
nib.save(nib.Nifti1Image(np.ones((2, 3, 5), 'u1'), np.eye(4)), sys.argv[2])""",
            r"have the image's shape \(2, 3, 4\), got \(2, 3, 5\)",
        ),
    ],
    ids=["fails", "writes nothing", "another shape"],
)
def test_a_program_that_goes_wrong_is_told(body, fragment, on_path):
    program(on_path, "stripper", body)
    with pytest.raises(InputError, match=f"stripper: .*{fragment}"):
        ExternalExtraction("stripper {image} {mask}")(HEAD)


def test_no_shell_sees_the_command(on_path):
    program(on_path, "stripper", "import sys; sys.exit(' '.join(sys.argv[3:]))")
    command = f"stripper {{image}} {{mask}} {shlex.quote('$HOME; ls')}"
    with pytest.raises(InputError, match=r"\$HOME; ls"):
        ExternalExtraction(command)(HEAD)
