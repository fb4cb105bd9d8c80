"""The verb ``preprocess``, and DICOM series in a cohort."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import itk
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from monai_transfer.bundle import standard_scale_file
from monai_transfer.cli import app
from monai_transfer.data import check_datalist, read_datalist
from monai_transfer.imaging import read_image, read_standard_scale
from monai_transfer.simulation.record import RECORD

pytestmark = pytest.mark.usefixtures("no_viewer")


def words(folder: Path, scans: Path, *options: object) -> list[str]:
    masks = ("--brain-masks", "{subject}/{subject}_brain.nii.gz")
    paths = ("--dataset-dir", scans, "--output", folder / "out")
    arguments = ["preprocess", folder / "clinic.json", "--preset", "g17", *paths, *masks, *options]
    return list(map(str, arguments))


def preprocess(folder: Path, scans: Path, *options: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return runner.invoke(app, words(folder, scans, *options), prog_name="monai-transfer")


@pytest.fixture
def folder(describe, tmp_path: Path) -> Path:
    split = {"recipe": "stratified", "validation": 0, "test": 0, "source": "ours"}
    (tmp_path / "clinic.json").write_text(json.dumps(describe(split=split)))
    return tmp_path


@pytest.fixture
def one(scans: Path, tmp_path: Path) -> Path:
    """A data set of one subject."""
    shutil.copytree(scans / "sub-1", tmp_path / "raw" / "sub-1")
    return tmp_path / "raw"


def test_it_says_what_was_made_and_what_failed_and_ends_with_1(folder: Path, one: Path):
    shutil.copytree(one / "sub-1", one / "sub-0")
    for path in (one / "sub-0").iterdir():
        path.rename(path.with_name(path.name.replace("sub-1", "sub-0")))
    (one / "sub-0" / "sub-0_T1w.nii.gz").write_bytes(b"no image")
    result = preprocess(folder, one)
    assert result.exit_code == 1
    assert "1 made, 0 kept, 1 failed" in result.output
    assert "sub-0: t1 sub-0/sub-0_T1w.nii.gz: file must be a whole 3D image" in result.output
    (one / "sub-0" / "sub-0_T1w.nii.gz").unlink()
    shutil.copy(one / "sub-1" / "sub-1_T1w.nii.gz", one / "sub-0" / "sub-0_T1w.nii.gz")
    result = preprocess(folder, one)
    assert result.exit_code == 0, result.output
    assert "1 made, 1 kept, 0 failed" in result.output
    assert "datalist.json: 2 training, 0 validation, 0 test" in result.output


def test_a_share_that_comes_to_nobody_is_told(folder: Path, one: Path):
    result = preprocess(folder, one, "--test", "0.2")
    assert result.exit_code == 0, result.output
    assert "warning: test: a share of 0.2 of 1 patients is rounded to 0" in result.output


def test_of_one_subject_that_is_tested_on_nobody_is_left_to_train_on(folder: Path, one: Path):
    result = preprocess(folder, one, "--test", "1")
    assert result.exit_code == 0, result.output
    assert "warning: training: nobody of 1 patients is left. Keep fewer for vali" in result.output


def test_scans_without_labels_are_listed_to_be_segmented(folder: Path, one: Path):
    record = json.loads((folder / "clinic.json").read_text())
    (folder / "clinic.json").write_text(json.dumps({**record, "label": None}))
    result = preprocess(folder, one)
    assert result.exit_code == 0, result.output
    assert "datalist.json: 0 training, 0 validation, 1 test" in result.output
    assert "warning" not in result.output  # nobody asked for more
    datalist = read_datalist(folder / "out" / "datalist.json")
    assert [f for f in check_datalist(datalist, folder / "out") if f.severity == "error"] == []


def test_what_was_simulated_says_so_when_it_is_prepared(folder: Path, one: Path):
    assert preprocess(folder, one).exit_code == 0
    assert not (folder / "out" / RECORD).exists()
    (one / RECORD).write_text('{"disease": "ms", "raw": true}')
    assert preprocess(folder, one).exit_code == 0
    told = json.loads((folder / "out" / RECORD).read_text())
    assert told == {"disease": "ms", "raw": True, "prepared_by": "g17"}


def test_a_simulated_folder_names_the_manifests_that_describe_it(folder: Path, one: Path):
    (one / RECORD).write_text('{"disease": "ms", "raw": true}')
    (one / "sub-1" / "sub-1_T1w.nii.gz").unlink()
    result = preprocess(folder, one)
    assert result.exit_code == 1
    assert "The folder was simulated; it is described by simulated_ms_raw." in result.output


def test_the_scale_of_a_bundle_is_taken_by_its_name(
    folder: Path, one: Path, make_recipe, monkeypatch: pytest.MonkeyPatch
):
    refused = preprocess(folder, one, "--standard-scale", "ms_source")
    assert "must be left out with a recipe that brings images to none, got g17" in refused.output
    small = make_recipe(nyul=True, bias_field=False)
    monkeypatch.setattr("monai_transfer.imaging.named_recipe", lambda _: small)
    shutil.rmtree(folder / "out")
    given = preprocess(folder, one, "--standard-scale", "ms_source")
    assert given.exit_code == 0, given.output
    assert "learned from 128 simulated patients with MS" in given.output
    assert "; that of ms_source" in given.output
    used = read_standard_scale(folder / "out" / "standard_scale.json")
    assert used == read_standard_scale(standard_scale_file("ms_source"))
    anat = folder / "out" / "sub-1" / "anat"
    for name, suffix in (("t1", "T1w"), ("flair", "FLAIR")):
        image = read_image(anat / f"sub-1_space-FLAIR_desc-preproc_{suffix}.nii.gz").voxels
        found = np.percentile(image[image > 0], used.percents)
        np.testing.assert_allclose(found, used.landmarks[name], atol=0.5)


def test_choices_that_do_not_exist_are_refused(folder: Path, one: Path):
    for option, got in (("--registration", "elastic"), ("--brain", "bet")):
        result = preprocess(folder, one, option, got)
        assert result.exit_code == 1
        assert f"got {got}" in result.output
    assert not (folder / "out").exists()


def test_after_ctrl_c_the_message_is_all_that_is_left_on_the_terminal(folder: Path, scans: Path):
    here, there = pty.openpty()
    command = [sys.executable, "-m", "monai_transfer", *words(folder, scans)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    ends = {"stdin": there, "stdout": there, "stderr": there}
    running = subprocess.Popen(command, env=environment, start_new_session=True, **ends)
    os.close(there)
    drawn = b""
    while b"Preparing" not in drawn:
        drawn += os.read(here, 4096)
    os.killpg(running.pid, signal.SIGINT)
    with suppress(OSError):  # how Linux tells that the other end is closed
        while more := os.read(here, 4096):
            drawn += more
    os.close(here)
    assert running.wait() == 130
    erased, told = drawn.decode().rsplit("\x1b[2K", 1)
    assert "Preparing" in erased
    assert told == "Stopped. What is done is kept; the same command goes on.\r\n"


def test_a_folder_with_a_dicom_series_stands_for_a_file(folder: Path, one: Path, describe):
    for token in ("T1w", "FLAIR"):
        write_dicom(one / "sub-1" / f"sub-1_{token}.nii.gz", one / "sub-1" / token)
    split = {"recipe": "stratified", "validation": 0, "test": 0, "source": "ours"}
    layout = "{subject}/{modality}"
    (folder / "clinic.json").write_text(json.dumps(describe(layout=layout, split=split)))
    result = preprocess(folder, one)
    assert result.exit_code == 0, result.output
    anat = folder / "out" / "sub-1" / "anat"
    prepared = read_image(anat / "sub-1_space-FLAIR_desc-preproc_FLAIR.nii.gz")
    raw = read_image(one / "sub-1" / "sub-1_FLAIR.nii.gz")
    assert prepared.shape == raw.shape
    np.testing.assert_allclose(prepared.affine, raw.affine, atol=0.01)
    for path in (folder / "out").rglob("*.json"):
        assert "DOE" not in path.read_text(), path


def write_dicom(nifti: Path, folder: Path) -> None:
    """The image as a DICOM series, and the NIfTI file stays."""
    folder.mkdir()
    image = read_image(nifti)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    directions = affine[:3, :3] / image.spacing_mm
    for z in range(image.shape[2]):
        pixels = image.voxels[:, :, z : z + 1].T.astype(np.int16)
        one = itk.image_from_array(np.ascontiguousarray(pixels))
        one.SetSpacing(image.spacing_mm)
        one.SetDirection(directions)
        one.SetOrigin((affine @ [0, 0, z, 1])[:3])
        tags = one.GetMetaDataDictionary()
        tags["0010|0010"], tags["0008|0060"], tags["0020|0011"] = "DOE^JANE", "MR", "3"
        tags["0020|000d"], tags["0020|000e"], tags["0008|0018"] = "1.2", "1.2.3", f"1.2.3.{z + 1}"
        io = itk.GDCMImageIO.New()
        io.SetKeepOriginalUID(True)
        itk.imwrite(one, str(folder / f"{z}.dcm"), imageio=io)
