import json
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.bundle import open_cohort
from monai_transfer.bundle.cohort import Cohort
from monai_transfer.data import (
    build_datalist,
    check_datalist,
    manifest_path,
    read_manifest,
    write_datalist,
)
from monai_transfer.errors import InputError
from monai_transfer.studies.folds import write_folds


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def ids(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["subject"] for entry in entries}


def test_folds_divide_the_training_cases_and_touch_no_other(cohort: Cohort, tmp_path: Path):
    lists = [read(path) for path in write_folds(cohort, tmp_path / "folds", folds=3)]
    training = ids(cohort.lists["training"])
    assert len(training) > 3
    held_out = [ids(content["validation"]) for content in lists]
    assert set.union(*held_out) == training
    assert sum(map(len, held_out)) == len(training)
    for content, fold in zip(lists, held_out, strict=True):
        assert ids(content["training"]) == training - fold
        assert content["test"] == []
        assert content["numTraining"] == len(training - fold)


def test_folds_lie_inside_the_cases_that_a_training_takes(cohort: Cohort, tmp_path: Path):
    chosen = ids(cohort.training(4, seed=3))
    for path in write_folds(cohort, tmp_path, folds=2, cases=4, seed=3):
        content = read(path)
        assert ids(content["training"]) | ids(content["validation"]) == chosen


def test_visits_of_one_patient_are_in_one_fold(data: Path, tmp_path: Path):
    described = read_manifest(manifest_path("simulated_brats"))
    write_datalist(build_datalist(described, data, validation=0, test=0), tmp_path / "all.json")
    modalities = list(described.modalities)
    whole = open_cohort("brats", modalities, dataset_dir=data, datalist=tmp_path / "all.json")
    for seed in range(5):
        for path in write_folds(whole, tmp_path / "folds", folds=4, seed=seed):
            content = read(path)
            assert len(content["training"]) + len(content["validation"]) == 10
            patients = [
                {entry["patient"] for entry in content[k]} for k in ("training", "validation")
            ]
            assert not set.intersection(*patients)


def test_every_fold_passes_the_gate_of_a_run(cohort: Cohort, data: Path, tmp_path: Path):
    for path in write_folds(cohort, tmp_path, folds=2):
        assert check_datalist(read(path), data) == []


def test_more_folds_than_patients_are_refused(cohort: Cohort, tmp_path: Path):
    with pytest.raises(InputError, match=r"folds must be 2 to \d, the number of patients .* got 4"):
        write_folds(cohort, tmp_path, folds=4, cases=3, seed=1)
    assert list(tmp_path.glob("*.json")) == []
