import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import (
    CommandRegistration,
    LinearTransform,
    Registration,
    from_flirt,
    from_ras,
)

IMAGE = Image(np.arange(60.0).reshape(3, 4, 5), np.diag([2.0, 1, 1, 1]))
MATRIX = np.array([[1.0, 0, 0, 4], [0, 1, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1]])
ROWS = "\n".join(" ".join(map(str, row)) for row in MATRIX.tolist())


def python(script: str, *arguments: str) -> str:
    """A command that runs a script; the images come last."""
    return shlex.join([sys.executable, "-c", script, *arguments, "{fixed}", "{moving}"])


def test_the_transform_that_a_program_writes_is_read(tmp_path: Path):
    saved = tmp_path / "known.txt"
    LinearTransform(MATRIX).save(saved)
    copy = python("import shutil, sys; shutil.copy(*sys.argv[1:3])", str(saved), "{transform}")
    method = CommandRegistration(copy)
    assert isinstance(method, Registration)
    np.testing.assert_array_equal(method(IMAGE, IMAGE).matrix, MATRIX)


@pytest.mark.parametrize("convention", ["flirt", "ras"])
def test_rows_of_numbers_are_read_by_their_convention(convention: str):
    write = python("import sys; open(sys.argv[1], 'w').write(sys.argv[2])", "{transform}", ROWS)
    found = CommandRegistration(write, convention=convention)(IMAGE, IMAGE)
    flirt = from_flirt(MATRIX, fixed=IMAGE, moving=IMAGE)
    expected = {"flirt": flirt, "ras": from_ras(MATRIX)}[convention]
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    assert not np.allclose(flirt.matrix, from_ras(MATRIX).matrix)


SAVE = """
import os, sys, nibabel, pathlib
paths = sys.argv[3:]
log = [float(nibabel.load(path).get_fdata().sum()) for path in paths]
pathlib.Path(sys.argv[1]).write_text(repr((log, os.environ.get("OMP_NUM_THREADS"), os.getcwd())))
pathlib.Path(sys.argv[2]).write_text("1 0 0 0\\n0 1 0 0\\n0 0 1 0\\n0 0 0 1\\n")
"""


@pytest.mark.parametrize("given", [True, False])
def test_a_program_gets_the_images_the_mask_and_its_threads(tmp_path: Path, *, given: bool):
    log = tmp_path / "log"
    arguments = python(SAVE, str(log), "{transform}", "{fixed_mask}")
    method = CommandRegistration(arguments, convention="ras", transform="sub.mat", threads=3)
    mask = IMAGE.with_voxels(IMAGE.voxels > 50) if given else None
    moving = IMAGE.with_voxels(IMAGE.voxels + 1)
    method(IMAGE, moving, fixed_mask=mask)
    sums, threads, folder = eval(log.read_text())
    # 51 … 59 or everything; 0 + … + 59; one more for each of 60
    assert sums == [9 if given else 60, 1770, 1830]
    assert threads == "3"
    assert not Path(folder).exists()
    assert Path(folder) != Path.cwd()


def test_a_program_that_writes_nothing_is_found_out():
    with pytest.raises(InputError, match=r"transform\.txt: file must be an ITK transform"):
        CommandRegistration(python(""))(IMAGE, IMAGE)


def test_an_unknown_convention_and_a_command_without_images_are_refused():
    with pytest.raises(InputError, match="convention must be one of flirt, itk, ras, got lta"):
        CommandRegistration("x {fixed} {moving}", convention="lta")
    with pytest.raises(InputError, match=r"command must hold \{fixed\} and \{moving\}, got x"):
        CommandRegistration("x")
