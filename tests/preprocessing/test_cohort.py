"""Whole cohorts on disk: complete, resumed, the same with any number of processes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import build_datalist, check_datalist, read_datalist, read_manifest
from monai_transfer.errors import InputError
from monai_transfer.imaging import StandardScale, read_image, read_standard_scale
from monai_transfer.imaging.registration import read_transform, resample
from monai_transfer.preprocessing import Source, preprocess_cohort, work

pytestmark = pytest.mark.usefixtures("no_viewer")

SUBJECTS = ["sub-0", "sub-1", "sub-2"]


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def images_of(folder: Path) -> dict[str, str]:
    """Digests of its images."""
    return {p: d for p, d in digests(folder).items() if p.endswith(".nii.gz")}


def states(summary) -> list[str]:
    return [outcome.state for outcome in summary.outcomes.values()]


@pytest.fixture(scope="module")
def done(scans: Path, describe, make_recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort, prepared; never written to after this."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "clinic.json").write_text(json.dumps(describe()))
    masks = "{subject}/{subject}_brain.nii.gz"
    source = Source(read_manifest(folder / "clinic.json"), scans, brain_masks=masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_transfer.preprocessing.store.viewer", lambda *_: "<html></html>")
        summary = preprocess_cohort(source, make_recipe(), folder / "out")
    assert states(summary) == ["made"] * 3
    return folder / "out"


@pytest.fixture(scope="module")
def standardised(
    scans: Path, describe, make_recipe, quick, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The cohort on a standard scale of its own; never written to after this."""
    folder = tmp_path_factory.mktemp("standardised")
    (folder / "clinic.json").write_text(json.dumps(describe()))
    masks = "{subject}/{subject}_brain.nii.gz"
    source = Source(read_manifest(folder / "clinic.json"), scans, brain_masks=masks)
    small = make_recipe(nyul=True, bias_field=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monai_transfer.preprocessing.store.viewer", lambda *_: "<html></html>")
        summary = preprocess_cohort(source, small, folder / "out", methods=quick)
    assert summary.learned
    return folder / "out"


@pytest.fixture
def copied(done: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return shutil.copytree(done, tmp_path / "out")


@pytest.fixture
def own(source: Source, tmp_path: Path) -> Source:
    """The raw cohort in a copy to change."""
    return replace(source, dataset_dir=shutil.copytree(source.dataset_dir, tmp_path / "raw"))


def test_files_are_named_after_bids_derivatives(done: Path):
    anat = sorted(path.name for path in (done / "sub-1" / "anat").iterdir())
    assert anat == [
        "sub-1_desc-preproc.json",
        "sub-1_from-T1w_to-FLAIR_mode-image_xfm.txt",
        "sub-1_space-FLAIR_desc-brain_mask.nii.gz",
        "sub-1_space-FLAIR_desc-preproc_FLAIR.nii.gz",
        "sub-1_space-FLAIR_desc-preproc_T1w.nii.gz",
        "sub-1_space-FLAIR_dseg.nii.gz",
    ]
    whole = {"datalist.json", "dataset_description.json", "manifest.json", "preprocessing.json"}
    assert {path.name for path in done.iterdir()} == {*whole, "qc", *SUBJECTS}
    description = json.loads((done / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"


def test_the_datalist_passes_the_gate_and_keeps_the_split_of_the_raw_cohort(
    done: Path, source: Source
):
    datalist = read_datalist(done / "datalist.json")
    assert [f for f in check_datalist(datalist, done) if f.severity == "error"] == []
    raw = build_datalist(source.manifest, source.dataset_dir)
    for split in ("training", "validation", "test"):
        assert [e["subject"] for e in datalist[split]] == [e["subject"] for e in raw[split]]


def test_the_manifest_finds_what_the_datalist_lists(done: Path):
    found = build_datalist(read_manifest(done / "manifest.json"), done)
    listed = read_datalist(done / "datalist.json")
    assert found["training"] == listed["training"]
    assert found["validation"] == listed["validation"]
    assert found["modality"] == listed["modality"]


def test_images_are_the_brain_alone_on_the_reference_grid(done: Path, scans: Path):
    raw = read_image(scans / "sub-1" / "sub-1_FLAIR.nii.gz")
    brain = read_image(done / "sub-1/anat/sub-1_space-FLAIR_desc-brain_mask.nii.gz").voxels > 0
    for suffix in ("T1w", "FLAIR"):
        image = read_image(done / f"sub-1/anat/sub-1_space-FLAIR_desc-preproc_{suffix}.nii.gz")
        np.testing.assert_allclose(image.affine, raw.affine, atol=1e-4)
        assert image.voxels.dtype == np.float32
        assert not image.voxels[~brain].any()
        assert (image.voxels[brain] > 0).mean() > 0.99


def test_the_transform_on_disk_takes_the_scan_to_the_prepared_grid(done: Path, scans: Path):
    anat = done / "sub-1" / "anat"
    transform = read_transform(anat / "sub-1_from-T1w_to-FLAIR_mode-image_xfm.txt")
    raw = read_image(scans / "sub-1" / "sub-1_T1w.nii.gz")
    prepared = read_image(anat / "sub-1_space-FLAIR_desc-preproc_T1w.nii.gz")
    moved = resample(raw, prepared, transform=transform).voxels
    brain = prepared.voxels > 0
    ratio = moved[brain] / prepared.voxels[brain]  # the bias field: smooth, about 1
    assert np.corrcoef(moved[brain], prepared.voxels[brain])[0, 1] > 0.95
    assert 0.5 < np.percentile(ratio, 1) < np.percentile(ratio, 99) < 2


def test_nothing_is_done_again_when_nothing_changed(copied: Path, source: Source, make_recipe):
    before = digests(copied)
    assert states(preprocess_cohort(source, make_recipe(), copied)) == ["kept"] * 3
    assert digests(copied) == before


def test_another_scan_another_parameter_and_a_broken_file_are_done_again(
    copied: Path, own: Source, make_recipe, quick
):
    scan = own.dataset_dir / "sub-0" / "sub-0_T1w.nii.gz"
    loaded = nib.load(scan)
    nib.save(nib.Nifti1Image(np.asarray(loaded.dataobj) + 1, loaded.affine), scan)
    broken = copied / "sub-2/anat/sub-2_space-FLAIR_dseg.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-1])
    summary = preprocess_cohort(own, make_recipe(), copied)
    assert states(summary) == ["made", "kept", "made"]
    plain = preprocess_cohort(own, make_recipe(bias_field=False), copied, methods=quick)
    assert states(plain) == ["made"] * 3


def test_the_bytes_do_not_depend_on_the_number_of_workers(
    done: Path, source: Source, make_recipe, tmp_path: Path
):
    preprocess_cohort(source, make_recipe(), tmp_path / "two", workers=2)
    one, two = (
        {p: d for p, d in digests(folder).items() if p.endswith((".nii.gz", ".txt"))}
        for folder in (done, tmp_path / "two")
    )
    assert one == two
    assert len(one) == 15


def test_a_subject_that_fails_stops_no_other_and_is_in_no_list(
    copied: Path, own: Source, make_recipe
):
    broken = own.dataset_dir / "sub-1" / "sub-1_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:200])
    summary = preprocess_cohort(own, make_recipe(), copied)
    assert states(summary) == ["kept", "failed", "kept"]
    assert summary.failures["sub-1"].startswith("t1 sub-1/sub-1_T1w.nii.gz: file must be a whole")
    assert "sub-1: t1 sub-1/" in (copied / "failures.log").read_text()
    datalist = read_datalist(copied / "datalist.json")
    listed = {entry["subject"] for entry in [*datalist["training"], *datalist["validation"]]}
    assert listed == {"sub-0", "sub-2"}
    assert datalist["numTraining"] + datalist["numValidation"] == 2
    assert not (copied / "sub-1").exists()  # of what the scan was before
    assert "sub-1_T1w.nii.gz" in (copied / "qc" / "index.html").read_text()


def test_a_fault_of_the_program_is_told_with_its_place(
    copied: Path, own: Source, make_recipe, monkeypatch: pytest.MonkeyPatch
):
    def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(work, "preprocess_subject", breaks)
    summary = preprocess_cohort(own, make_recipe(bias_field=False), copied)
    assert summary.failures["sub-0"] == "ZeroDivisionError: by chance"
    assert "in breaks" in (copied / "failures.log").read_text()


STOPPED = """
import os, signal, sys
from pathlib import Path
from monai_transfer.data import read_manifest
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.imaging.registration import IDENTITY
from monai_transfer.preprocessing import Methods, Source, folders, preprocess_cohort, store

rename, left = folders.put_in_place, [int(sys.argv[5])]
def put(aside, final):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    rename(aside, final)

class Still:
    def __call__(self, fixed, moving, *, fixed_mask=None):
        return IDENTITY
    def __repr__(self):
        return "Still()"

folders.put_in_place = put
store.viewer = lambda *_: "<html></html>"
source = Source(read_manifest(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
methods = Methods(within=Still())
preprocess_cohort(source, Recipe.from_json(sys.argv[6]), sys.argv[4], methods=methods)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
@pytest.mark.parametrize("killed_at", [1, 4])
def test_a_killed_run_leaves_nothing_half_written_and_goes_on(
    standardised: Path, source: Source, make_recipe, quick, tmp_path: Path, *, killed_at: int
):
    small = make_recipe(nyul=True, bias_field=False)  # six renames: three wait, three are done
    out = tmp_path / "out"
    paths = [tmp_path / "clinic.json", source.dataset_dir, source.brain_masks, out]
    command = [sys.executable, "-c", STOPPED, *map(str, paths), str(killed_at), small.to_json()]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = sorted(path.name for path in out.glob("sub-*"))
    assert finished == SUBJECTS[: max(0, killed_at - 3)]
    seen: list[str] = []
    summary = preprocess_cohort(
        source, small, methods=quick, output=out, progress=lambda what, *_: seen.append(what)
    )
    assert states(summary) == ["kept"] * len(finished) + ["made"] * (3 - len(finished))
    assert ("Standardising" in seen) == (killed_at < 3)
    assert not list(out.rglob(".*"))
    assert images_of(out) == images_of(standardised)


def test_the_standard_scale_is_that_of_the_training_subjects_and_is_kept(
    standardised: Path, source: Source, make_recipe, quick, tmp_path: Path
):
    small, out = make_recipe(nyul=True, bias_field=False), tmp_path / "out"
    shutil.copytree(standardised, out)
    again = preprocess_cohort(source, small, out, methods=quick)
    assert (again.learned, states(again)) == (False, ["kept"] * 3)
    assert again.scale == read_standard_scale(out / "standard_scale.json")
    assert again.scale.subjects == 2  # the third chooses the epoch
    assert again.scale.origin == "training subjects of clinic"
    affine = make_recipe(nyul=True, bias_field=False, registration="affine")
    assert preprocess_cohort(source, affine, out, methods=quick).learned


def test_a_scale_of_another_cohort_can_be_given(
    standardised: Path, source: Source, make_recipe, quick, tmp_path: Path
):
    small = make_recipe(nyul=True, bias_field=False)
    scale = read_standard_scale(standardised / "standard_scale.json")
    given = preprocess_cohort(source, small, tmp_path / "out", methods=quick, scale=scale)
    assert not given.learned
    assert images_of(tmp_path / "out") == images_of(standardised)


@pytest.mark.parametrize(
    ("names", "nyul", "message"),
    [
        (["flair"], True, "it must have landmarks of t1, got flair. Take those modalities out"),
        (["t1", "flair"], False, "it must be left out with a recipe that brings images to none"),
    ],
)
def test_a_scale_that_cannot_be_used_is_refused_before_anybody_is_prepared(
    source: Source, make_recipe, tmp_path: Path, names, message, *, nyul: bool
):
    scale = StandardScale(dict.fromkeys(names, (1.0, 2.0)), 1, percents=(1.0, 99.0))
    with pytest.raises(InputError, match=message):
        preprocess_cohort(source, make_recipe(nyul=nyul), tmp_path / "out", scale=scale)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name[0] != "."]


def test_another_scale_than_the_folder_s_is_refused_and_the_same_is_not(
    standardised: Path, source: Source, make_recipe, quick, tmp_path: Path
):
    small, out = make_recipe(nyul=True, bias_field=False), tmp_path / "out"
    shutil.copytree(standardised, out)
    own = read_standard_scale(out / "standard_scale.json")
    other = replace(own, subjects=128, origin="simulated patients with MS")
    told = "learned from 2 training subjects of clinic, got learned from 128 simulated patients"
    with pytest.raises(InputError, match=f"it must be the folder's, {told}"):
        preprocess_cohort(source, small, out, methods=quick, scale=other)
    assert read_standard_scale(out / "standard_scale.json") == own
    assert states(preprocess_cohort(source, small, out, methods=quick, scale=own)) == ["kept"] * 3


def test_groups_are_in_the_participants_table(
    scans: Path, describe, make_recipe, quick, tmp_path: Path
):
    for index, group in enumerate(("HGG", "LGG")):
        shutil.copytree(scans / f"sub-{index}", tmp_path / "raw" / group / f"sub-{index}")
    layout = "{group}/{subject}/{subject}_{modality}.nii.gz"
    changed = {
        "layout": layout,
        "label": layout.replace("{modality}", "lesion"),
        "groups": ["HGG", "LGG"],
        "split": {"recipe": "stratified", "validation": 0, "test": 0, "source": "ours"},
    }
    (tmp_path / "graded.json").write_text(json.dumps(describe(**changed)))
    masks = layout.replace("{modality}", "brain")
    source = Source(read_manifest(tmp_path / "graded.json"), tmp_path / "raw", brain_masks=masks)
    out = tmp_path / "out"
    preprocess_cohort(source, make_recipe(bias_field=False), out, methods=quick)
    assert (out / "participants.tsv").read_text().splitlines() == [
        "participant_id\tgroup",
        "sub-0\tHGG",
        "sub-1\tLGG",
    ]
    found = build_datalist(read_manifest(out / "manifest.json"), out)
    assert [entry["group"] for entry in found["training"]] == ["HGG", "LGG"]


def test_sets_that_a_table_tells_are_told_again(
    scans: Path, describe, make_recipe, quick, tmp_path: Path
):
    raw = tmp_path / "raw"
    shutil.copytree(scans, raw)
    sets = {"sub-0": "test", "sub-1": "training", "sub-2": "validation"}
    rows = "".join(f"{subject}\t{name}\n" for subject, name in sets.items())
    (raw / "people.tsv").write_text(f"participant_id\tset\n{rows}")
    split = {"recipe": "participants", "file": "people.tsv", "column": "set", "source": "ours"}
    (tmp_path / "told.json").write_text(json.dumps(describe(split=split)))
    masks = "{subject}/{subject}_brain.nii.gz"
    source = Source(read_manifest(tmp_path / "told.json"), raw, brain_masks=masks)
    out = tmp_path / "out"
    preprocess_cohort(source, make_recipe(bias_field=False), out, methods=quick)
    assert (out / "participants.tsv").read_text() == f"participant_id\tsplit\n{rows}"
    found = build_datalist(read_manifest(out / "manifest.json"), out)
    listed = read_datalist(out / "datalist.json")
    for name in ("training", "validation", "test"):
        assert found[name] == listed[name]
        assert [sets[entry["subject"]] for entry in listed[name]] == [name]


def test_visits_keep_their_folders_and_their_patient(
    scans: Path, describe, make_recipe, quick, tmp_path: Path
):
    for visit in (0, 1):
        folder = tmp_path / "raw" / "sub-7" / f"ses-{visit}"
        folder.mkdir(parents=True)
        for token in ("T1w", "FLAIR", "lesion", "brain"):
            path = scans / f"sub-{visit}" / f"sub-{visit}_{token}.nii.gz"
            shutil.copy(path, folder / f"{token}.nii.gz")
    layout = "{subject}/{session}/{modality}.nii.gz"
    changed = {
        "layout": layout,
        "label": layout.replace("{modality}", "lesion"),
        "split": {"recipe": "stratified", "validation": 0, "test": 0, "source": "ours"},
    }
    (tmp_path / "visits.json").write_text(json.dumps(describe(**changed)))
    masks = layout.replace("{modality}", "brain")
    source = Source(read_manifest(tmp_path / "visits.json"), tmp_path / "raw", brain_masks=masks)
    out = tmp_path / "out"
    summary = preprocess_cohort(source, make_recipe(bias_field=False), out, methods=quick)
    assert list(summary.outcomes) == ["sub-7_ses-0", "sub-7_ses-1"]
    assert (out / "sub-7/ses-1/anat/sub-7_ses-1_space-FLAIR_dseg.nii.gz").is_file()
    found = build_datalist(read_manifest(out / "manifest.json"), out)
    assert found["training"] == read_datalist(out / "datalist.json")["training"]
    assert {entry["patient"] for entry in found["training"]} == {"sub-7"}


def test_other_peoples_folders_are_refused(copied: Path, source: Source, make_recipe, tmp_path):
    (copied / "sub-9").mkdir()
    shutil.copytree(copied / "sub-0" / "anat", copied / "sub-9" / "anat")
    with pytest.raises(InputError, match="hold no other subjects, got sub-9"):
        preprocess_cohort(source, make_recipe(), copied)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("words")
    with pytest.raises(InputError, match="be empty, or hold this cohort"):
        preprocess_cohort(source, make_recipe(), tmp_path / "theirs")


def test_two_runs_do_not_share_a_folder(copied: Path, source: Source, make_recipe):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from monai_transfer._lock import FolderLock\n"
        "print(FolderLock(Path(sys.argv[1])).acquire(), flush=True)\ntime.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(copied)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        with pytest.raises(InputError, match="one run at a time"):
            preprocess_cohort(source, make_recipe(), copied)
    finally:
        other.kill()
        other.communicate()


def test_a_reference_that_the_cohort_lacks_is_refused(source: Source, make_recipe, tmp_path: Path):
    with pytest.raises(InputError, match="clinic: modalities must hold t2, the reference of small"):
        preprocess_cohort(source, make_recipe(reference="t2"), tmp_path / "out")


def test_records_tell_what_a_subject_was_made_from_and_name_no_folder(done: Path, scans: Path):
    record = json.loads((done / "sub-0/anat/sub-0_desc-preproc.json").read_text())
    scan = scans / "sub-0" / "sub-0_T1w.nii.gz"
    assert (
        record["inputs"]["sub-0/sub-0_T1w.nii.gz"] == hashlib.sha256(scan.read_bytes()).hexdigest()
    )
    assert record["recipe"]["preparation"]["registration"] == "rigid"
    assert record["versions"].keys() >= {"monai-transfer", "numpy", "torch"}
    for path in done.rglob("*"):
        if path.suffix in (".json", ".html", ".txt", ".tsv"):
            assert str(scans.parent) not in path.read_text(), path
