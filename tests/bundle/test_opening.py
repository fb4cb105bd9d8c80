import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.bundle import find_images, open_cohort
from monai_transfer.errors import InputError


def subjects(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["subject"] for entry in entries]


def test_a_folder_is_split_as_its_manifest_says_with_paths_that_exist(clinic: Any):
    cohort = open_cohort(
        "brats", ["flair", "t1", "t2"], dataset_dir=clinic.folder, manifest=str(clinic.manifest)
    )
    assert (cohort.name, cohort.simulated) == ("clinic", False)
    assert [len(x) for x in (cohort.training(), cohort.validation, cohort.test)] == [8, 2, 2]
    for entry in (*cohort.training(), *cohort.validation, *cohort.test):
        assert all(Path(path).is_file() for path in (*entry["image"], entry["label"]))


@pytest.mark.parametrize(("session", "sizes"), [("baseline", [3, 1, 1]), ("followup", [2, 1, 1])])
def test_a_session_of_the_simulated_patients_is_split_as_its_table_tells(
    session: str, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    defaults = {f"wmh_{session}": (5, 8.0)}
    monkeypatch.setenv("MONAI_TRANSFER_CACHE", str(tmp_path))
    monkeypatch.setattr("monai_transfer.bundle.simulated._DEFAULTS", defaults)
    cohort = open_cohort(f"wmh_{session}", ["t1", "flair"])
    assert [len(x) for x in (cohort.training(), cohort.validation, cohort.test)] == sizes
    assert cohort.simulated


@pytest.mark.parametrize("wanted", [["t1", "flair"], ["t2", "t1", "flair"], ["flair"]])
def test_channels_come_in_the_asked_order_by_name(wanted: list[str], clinic: Any):
    cohort = open_cohort("ms", wanted, dataset_dir=clinic.folder, manifest=str(clinic.manifest))
    fill = {"flair": 1, "t1": 2, "t2": 3}
    for entry in cohort.training():
        values = [nib.load(path).get_fdata().max() for path in entry["image"]]
        assert values == [fill[name] for name in wanted]


def test_a_modality_the_data_set_lacks_is_named(clinic: Any):
    with pytest.raises(InputError, match=r"include t1, t1c, got flair, t1, t2: no t1c"):
        open_cohort("ms", ["t1", "t1c"], dataset_dir=clinic.folder, manifest=str(clinic.manifest))


def test_an_unknown_manifest_is_answered_with_the_known_ones(clinic: Any):
    with pytest.raises(InputError, match="brats2018"):
        open_cohort("brats", ["t1"], dataset_dir=clinic.folder, manifest="brats2019")


def test_paths_of_a_datalist_are_relative_to_its_own_folder_or_to_the_one_given(
    clinic: Any, listed: Callable[..., Path], tmp_path: Path
):
    entries = [clinic.entry("sub-00"), clinic.entry("sub-01")]
    inside = listed(clinic.folder / "list.json", training=entries)
    outside = listed(tmp_path / "list.json", training=entries)
    ours = open_cohort("ms", ["t1"], datalist=inside)
    theirs = open_cohort("ms", ["t1"], datalist=outside, dataset_dir=clinic.folder)
    assert ours.training() == theirs.training()
    assert ours.sha256 == theirs.sha256
    assert ours.name == "list"
    more = open_cohort(
        "ms", ["t1"], datalist=listed(training=entries[:1]), dataset_dir=clinic.folder
    )
    assert more.sha256 != ours.sha256


def test_all_faults_that_the_gate_finds_are_reported_together(
    clinic: Any, listed: Callable[..., Path]
):
    clinic.image("sub-01", "t2").unlink()
    clinic.write(clinic.image("sub-02", "lesion"), 3)
    entries = [clinic.entry(f"sub-0{n}") for n in (1, 2, 3)]
    datalist = listed(training=entries, test=[clinic.entry("sub-03")])
    with pytest.raises(InputError) as caught:
        open_cohort("ms", ["t1"], datalist=datalist, dataset_dir=clinic.folder)
    message = str(caught.value)
    for fragment in ("sub-01/t2.nii.gz", "sub-02/lesion.nii.gz", "sub-03", "got 3 in"):
        assert fragment in message


def test_warnings_of_the_gate_are_printed_and_stop_nothing(
    clinic: Any, listed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    for number in range(3):
        clinic.write(clinic.image(f"sub-0{number}", "lesion"), 0)
    datalist = listed(training=[clinic.entry(f"sub-0{number}") for number in range(3)])
    cohort = open_cohort("ms", ["t1"], datalist=datalist, dataset_dir=clinic.folder)
    assert len(cohort.training()) == 3
    printed = " ".join(capsys.readouterr().out.split())
    assert "G503 warning: datalist: labels must hold a labelled voxel" in printed
    assert "G504 warning: datalist: label 1 must be in a label of the training" in printed


def test_test_subjects_without_a_label_are_counted_and_left_out(
    clinic: Any, listed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    unlabelled = clinic.entry("sub-02")
    del unlabelled["label"]
    training, test = [clinic.entry("sub-00")], [clinic.entry("sub-01"), unlabelled]
    datalist = listed(training=training, test=test)
    cohort = open_cohort("ms", ["t1"], datalist=datalist, dataset_dir=clinic.folder)
    assert subjects(cohort.test) == ["sub-01"]
    assert "1 test subjects have no label: not scored." in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["training", "validation", "test"])
def test_a_required_list_must_not_be_empty(missing: str, clinic: Any, listed: Callable[..., Path]):
    names = [name for name in ("training", "validation", "test") if name != missing]
    lists = {name: [clinic.entry(f"sub-0{n}")] for n, name in enumerate(names)}
    datalist = listed(**lists)
    given = {"datalist": datalist, "dataset_dir": clinic.folder}
    open_cohort("ms", ["t1"], **given, required=names)
    remedy = (
        "manifest build with --validation 0 --test 1.0"
        if missing == "test"
        else f'under "{missing}"'
    )
    with pytest.raises(InputError, match=f"list {missing} must hold a labelled .* {remedy}"):
        open_cohort("ms", ["t1"], **given, required=["training", "validation", "test"])


def test_subjects_are_found_for_inference_without_labels_or_the_table_of_sets(clinic: Any):
    for number in range(12):
        clinic.image(f"sub-{number:02}", "lesion").unlink()
    described = json.loads(clinic.manifest.read_text())
    told = {"recipe": "participants", "file": "participants.tsv", "column": "split"}
    clinic.manifest.write_text(json.dumps(described | {"split": {**told, "source": "ours"}}))
    found = find_images(
        "ms", ["t2", "t1"], dataset_dir=clinic.folder, manifest=str(clinic.manifest)
    )
    assert subjects(found.test) == [f"sub-{number:02}" for number in range(12)]
    assert (found.name, found.simulated) == ("clinic", False)
    assert [nib.load(path).get_fdata().max() for path in found.test[0]["image"]] == [3, 2]
    assert not any("label" in entry for entry in found.test)


FLAIR_ALONE = "Some subjects lack t1, which is not needed: left out."


@pytest.mark.parametrize("wanted", [["flair"], ["t2", "flair"], ["t2", "flair", "t1"]])
def test_inference_takes_the_modalities_it_asks_for_by_name(wanted: list[str], clinic: Any):
    found = find_images("ms", wanted, dataset_dir=clinic.folder, manifest=str(clinic.manifest))
    fill = {"flair": 1, "t1": 2, "t2": 3}
    for entry in found.test:
        values = [nib.load(path).get_fdata().max() for path in entry["image"]]
        assert values == [fill[name] for name in wanted]


@pytest.mark.parametrize("find", [open_cohort, find_images])
def test_a_sequence_that_a_subject_lacks_is_missed_only_where_it_is_asked_for(
    find: Callable[..., Any], clinic: Any, capsys: pytest.CaptureFixture[str]
):
    data = {"dataset_dir": clinic.folder, "manifest": str(clinic.manifest)}
    complete = find("ms", ["flair", "t2"], **data)
    assert FLAIR_ALONE not in capsys.readouterr().out
    clinic.image("sub-03", "t1").unlink()
    assert find("ms", ["flair", "t2"], **data).lists == complete.lists
    assert FLAIR_ALONE in capsys.readouterr().out
    with pytest.raises(InputError, match=r"sub-03: t1 is missing, no file low/sub-03/t1\.nii\.gz"):
        find("ms", ["flair", "t1"], **data)


@pytest.mark.parametrize("find", [open_cohort, find_images])
def test_a_subject_that_has_nothing_of_what_is_asked_for_is_not_passed_over(
    find: Callable[..., Any], clinic: Any
):
    for name in ("flair", "t2"):
        clinic.image("sub-05", name).unlink()
    data = {"dataset_dir": clinic.folder, "manifest": str(clinic.manifest)}
    with pytest.raises(InputError, match=r"got 1\. .*\s+sub-05: flair is missing"):
        find("ms", ["flair"], **data)


def test_a_sequence_that_no_manifest_names_is_refused_for_inference_too(clinic: Any):
    with pytest.raises(InputError, match=r"include t1c, got flair, t1, t2: no t1c"):
        find_images("ms", ["t1c"], dataset_dir=clinic.folder, manifest=str(clinic.manifest))


def test_images_for_inference_pass_the_gate_too(clinic: Any):
    broken = clinic.image("sub-04", "t1")
    clinic.write(broken, np.nan)
    with pytest.raises(InputError, match=r"sub-04/t1\.nii\.gz"):
        find_images("ms", ["t1"], dataset_dir=clinic.folder, manifest=str(clinic.manifest))


@pytest.mark.parametrize("find", [open_cohort, find_images])
def test_a_simulated_folder_under_the_real_data_s_manifest_names_its_own(
    find: Callable[..., Any], tmp_path: Path
):
    anat = tmp_path / "sub-wmh0001" / "ses-followup" / "anat"
    anat.mkdir(parents=True)
    (anat / "sub-wmh0001_ses-followup_FLAIR.nii.gz").touch()
    (tmp_path / "simulation.json").write_text('{"disease": "wmh", "raw": false}')
    (tmp_path / "participants.tsv").write_text("participant_id\tsplit\nsub-wmh0001\ttraining\n")
    given = {"dataset_dir": tmp_path, "manifest": "rundmc_followup"}
    named = r"(?s)by simulated_wmh_baseline, simulated_wmh_followup\..*t1 is missing"
    with pytest.raises(InputError, match=named):
        find("wmh_followup", ["t1", "flair"], **given)


def test_what_can_be_refused_is_refused_before_a_cohort_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MONAI_TRANSFER_CACHE", str(tmp_path / "cache"))
    for request, fragment in (
        ({"manifest": "brats2019"}, "brats2018"),
        ({"spacing_mm": 20.0}, "lie between 0.5 and 10"),
        ({"modalities": ["dwi"]}, "no dwi"),
    ):
        with pytest.raises(InputError, match=fragment):
            open_cohort(**{"disease": "ms", "modalities": ["t1"]} | request)
    assert not (tmp_path / "cache").exists()
