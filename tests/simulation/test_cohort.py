"""Cohorts on disk: same bytes, resumed, never mixed."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.data import build_datalist, check_datalist, manifest_path, read_manifest
from monai_transfer.data.splits import SPLITS
from monai_transfer.errors import InputError
from monai_transfer.simulation import request
from monai_transfer.simulation.cohort import count_simulated, simulate_cohort
from monai_transfer.simulation.record import RECORD, keep_record
from monai_transfer.simulation.visits import manifests_of


def make(folder: Path, disease: str = "brats", **options: Any) -> Path:
    arguments: dict[str, Any] = {"subjects": 2, "spacing_mm": 10.0, "progress": False}
    return simulate_cohort(disease, folder, **(arguments | options))


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_the_layout_is_that_of_brats_2018(tmp_path: Path) -> None:
    made = make(tmp_path / "cohort")
    assert made == tmp_path / "cohort"
    assert list(digests(made)) == [
        *(f"HGG/Brats18_SIM_0001_1/Brats18_SIM_0001_1_{s}.nii.gz" for s in SUFFIXES),
        *(f"LGG/Brats18_SIM_0002_1/Brats18_SIM_0002_1_{s}.nii.gz" for s in SUFFIXES),
        RECORD,
    ]


SUFFIXES = ("flair", "seg", "t1", "t1ce", "t2")


PATIENT = "sub-wmh0001/ses-{0}/anat/sub-wmh0001_ses-{0}_{1}.nii.gz"


def test_patients_with_hyperintensities_are_in_sessions_and_their_sets_in_a_table(
    tmp_path: Path,
) -> None:
    made = make(tmp_path / "cohort", "wmh", subjects=5)
    names = ("FLAIR", "space-FLAIR_T1w", "space-FLAIR_label-WMH_mask")
    files = list(digests(made))
    assert files[:2] == ["participants.tsv", RECORD]
    assert files[2:8] == [PATIENT.format(s, n) for s in ("baseline", "followup") for n in names]
    assert [name for name in files if "sub-wmh0004/ses-followup" in name] == []
    table = (made / "participants.tsv").read_text().splitlines()
    assert table[1:4] == ["sub-wmh0001\ttraining", "sub-wmh0002\tvalidation", "sub-wmh0003\ttest"]
    assert len(table) == 6


def test_a_cohort_of_two_sessions_is_resumed_and_grown_without_change(tmp_path: Path) -> None:
    before = digests(make(tmp_path / "grown", "wmh", subjects=2))
    (tmp_path / "grown" / PATIENT.format("followup", "FLAIR")).write_bytes(b"cut")
    assert digests(make(tmp_path / "grown", "wmh", subjects=2)) == before
    after = digests(make(tmp_path / "grown", "wmh", subjects=4, workers=2))
    assert {name for name, digest in before.items() if after[name] != digest} == {
        RECORD,
        "participants.tsv",
    }
    assert after == digests(make(tmp_path / "whole", "wmh", subjects=4))


@pytest.mark.parametrize(("raw", "kind"), [(False, ""), (True, "_raw")])
def test_both_manifests_find_the_same_patients_in_the_same_sets(
    tmp_path: Path, *, raw: bool, kind: str
) -> None:
    made = make(tmp_path, "wmh", subjects=9, raw=raw)
    before, after = (
        build_datalist(read_manifest(manifest_path(f"simulated_wmh_{session}{kind}")), made)
        for session in ("baseline", "followup")
    )
    assert [len(before[part]) for part in SPLITS] == [6, 1, 2]
    assert [len(after[part]) for part in SPLITS] == [3, 1, 1]
    for part in SPLITS:
        patients = [{entry["patient"] for entry in one[part]} for one in (before, after)]
        assert patients[1] <= patients[0]
    assert before["modality"] == {"0": "t1", "1": "flair"}


@pytest.mark.parametrize("disease", ["tissue", "stroke", "anatomy", "natural", "brats2015"])
def test_the_newer_cohorts_are_resumed_and_pass_the_gate(tmp_path: Path, disease: str) -> None:
    before = digests(make(tmp_path, disease, subjects=3, spacing_mm=6.0))
    labels = "*/*pat0002_1/*OT*/*.mha" if disease == "brats2015" else "sub-*0002/*/*label*.nii.gz"
    cut = [*tmp_path.glob(labels), *tmp_path.glob("sub-*0002/*/*dseg.nii.gz")]
    assert len(cut) == (2 if disease == "tissue" else 1)  # both labels
    for file in cut:
        file.write_bytes(file.read_bytes()[:-9])
    assert digests(make(tmp_path, disease, subjects=3, spacing_mm=6.0)) == before
    for name in manifests_of(disease):
        manifest = read_manifest(manifest_path(name))
        assert check_datalist(build_datalist(manifest, tmp_path), tmp_path) == []


def test_both_sessions_pass_the_gate(tmp_path: Path) -> None:
    made = make(tmp_path, "wmh", subjects=3, spacing_mm=6.0)
    for session in ("baseline", "followup"):
        manifest = read_manifest(manifest_path(f"simulated_wmh_{session}"))
        assert check_datalist(build_datalist(manifest, made), made) == []


@pytest.mark.parametrize(("raw", "files"), [(False, 5), (True, 13)])
def test_the_bytes_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, *, raw: bool, files: int
) -> None:
    one = make(tmp_path / "one", "ms", raw=raw)
    two = make(tmp_path / "two", "ms", raw=raw, workers=2)
    assert digests(one) == digests(two)
    assert len(digests(one)) == 2 * files + 1


def test_a_broken_raw_subject_is_made_again_alone(tmp_path: Path) -> None:
    made = make(tmp_path, "ms", raw=True)
    before = digests(made)
    kept = made / "sub-ms0001/anat/sub-ms0001_T1w.nii.gz"
    stamp = kept.stat().st_mtime_ns
    (made / "sub-ms0002/truth/sub-ms0002_from-T1w_to-FLAIR_mode-image_xfm.txt").write_text("")
    make(tmp_path, "ms", raw=True)
    assert digests(made) == before
    assert kept.stat().st_mtime_ns == stamp


def test_a_finished_subject_is_not_made_again_and_a_broken_one_is(tmp_path: Path) -> None:
    made = make(tmp_path)
    before = digests(made)
    kept = made / "HGG/Brats18_SIM_0001_1/Brats18_SIM_0001_1_t1.nii.gz"
    stamp = kept.stat().st_mtime_ns
    (made / "LGG/Brats18_SIM_0002_1/Brats18_SIM_0002_1_seg.nii.gz").unlink()
    make(made)
    assert digests(made) == before
    assert kept.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b"", lambda b: b[:60] + b"?" * 9])
def test_a_damaged_file_is_made_again_and_named(
    tmp_path: Path, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make(tmp_path, "ms")
    before = digests(made)
    file = made / "sub-ms0002/anat/sub-ms0002_space-MNI_T2w.nii.gz"
    file.write_bytes(damage(file.read_bytes()))
    make(tmp_path, "ms", progress=True)
    assert digests(made) == before
    assert "sub-ms0002: a file is missing or broken" in capsys.readouterr().out
    make(tmp_path, "ms", progress=True)
    assert "made again" not in capsys.readouterr().out


def test_only_the_subjects_that_are_there_are_counted(tmp_path: Path) -> None:
    assert count_simulated(tmp_path / "none", "brats", subjects=3) == 0
    make(tmp_path)
    assert count_simulated(tmp_path, "brats", subjects=3) == 2


def test_an_interrupted_run_leaves_only_whole_subjects_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(tmp_path / "whole")
    write = request.write_subject

    def killed(subject: Any, folder: Path) -> None:
        write(subject, folder)
        if subject.index == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(request, "write_subject", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut")
    left = digests(tmp_path / "cut")
    assert [p for p in left if "0002" in p] == []
    assert len([p for p in left if "0001" in p]) == 5
    monkeypatch.undo()
    assert digests(make(tmp_path / "cut")) == digests(whole)


def test_a_cohort_grows_without_change_to_its_first_subjects(tmp_path: Path) -> None:
    before = digests(make(tmp_path / "small", subjects=1))
    after = digests(make(tmp_path / "small", subjects=2))
    assert before.items() - after.items() == {(RECORD, before[RECORD])}
    assert after == digests(make(tmp_path / "large", subjects=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed must be 1 as asked for, got 0"),
        ({"spacing_mm": 9.0}, "spacing_mm must be 9.0 as asked for, got 10.0"),
        ({"protocol": "3T-volume"}, "protocol must be '3T-volume' as asked for, got None"),
        ({"disease": "ms"}, "disease must be 'ms' as asked for, got 'brats'"),
        ({"subjects": 1}, "subjects must be at most the 1 asked for, got 2"),
    ],
)
def test_a_folder_made_otherwise_is_refused(
    tmp_path_factory: pytest.TempPathFactory, change: dict[str, Any], message: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "made"
    make(folder)
    before = digests(folder)
    with pytest.raises(InputError, match=message):
        make(folder, **change)
    assert digests(folder) == before


def test_a_record_of_another_revision_is_refused(tmp_path: Path) -> None:
    make(tmp_path, subjects=1)
    record = json.loads((tmp_path / RECORD).read_text())
    (tmp_path / RECORD).write_text(json.dumps(record | {"revision": 0}))
    with pytest.raises(InputError, match="revision must be"):
        make(tmp_path, subjects=1)


def test_a_folder_of_what_was_prepared_from_raw_subjects_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "raw", "ms", subjects=1, raw=True)
    keep_record(tmp_path / "raw", tmp_path / "prepared", by="g17")
    with pytest.raises(InputError, match="prepared_by must be None as asked for, got 'g17'"):
        make(tmp_path / "prepared", "ms", subjects=1, raw=True)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=f"the folder must be empty or hold a {RECORD}"):
        make(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"disease": "strok"}, "disease must be one of .*, got strok. Did you mean stroke"),
        ({"disease": "stroke", "raw": True}, "raw must be left out for stroke"),
        ({"subjects": 0}, "subjects must lie between 1 and 9999, got 0"),
        ({"workers": 0}, "workers must lie between 1 and 256, got 0"),
        ({"protocol": "7T"}, "protocol must be one of"),
        ({"spacing_mm": 0.0}, "spacing_mm must lie between 0.5 and 10, got 0.0"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(tmp_path / "cohort", **options)
    assert not (tmp_path / "cohort").exists()


def test_old_leftovers_are_swept_and_fresh_ones_are_not(tmp_path: Path) -> None:
    make(tmp_path, subjects=1)
    old, fresh = tmp_path / ".partial-old", tmp_path / ".partial-fresh"
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "half.nii.gz").touch()
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    make(tmp_path, subjects=1)
    assert not old.exists()
    assert fresh.exists()


def test_two_runs_in_one_folder_make_one_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While this run simulates a subject, another finishes it."""
    alone = digests(make(tmp_path / "alone"))
    shared = tmp_path / "shared"
    simulate = request.simulate_visits

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        make(shared)
        return simulate(*args, **kwargs)

    monkeypatch.setattr(request, "simulate_visits", overtaken)
    make(shared)
    assert digests(shared) == alone
