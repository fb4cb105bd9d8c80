import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.bundle import Cohort, open_cohort
from monai_transfer.errors import InputError
from monai_transfer.imaging import StandardScale, write_standard_scale
from monai_transfer.simulation import simulate_cohort


def subjects(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["subject"] for entry in entries]


def test_training_subsets_are_nested_stratified_and_another_for_another_seed(clinic: Any):
    cohort = open_cohort("ms", ["t1"], dataset_dir=clinic.folder, manifest=str(clinic.manifest))
    four, six = subjects(cohort.training(4, 1)), subjects(cohort.training(6, 1))
    assert four == six[:4]
    assert sorted(entry["group"] for entry in cohort.training(4, 1)) == ["high"] * 2 + ["low"] * 2
    assert any(subjects(cohort.training(4, seed)) != four for seed in range(2, 8))
    for cases in (0, 9):
        with pytest.raises(InputError, match="cases must be 1 to 8"):
            cohort.training(cases)


def test_a_cohort_says_what_it_is_and_when_training_chooses_the_epoch(
    clinic: Any, listed: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    datalist = listed(training=[clinic.entry("sub-00"), clinic.entry("sub-01")])
    cohort = open_cohort("ms", ["t1"], datalist=datalist, dataset_dir=clinic.folder)
    capsys.readouterr()
    cohort.announce(training=cohort.training(1), validation=cohort.training(1))
    said = capsys.readouterr().out
    assert "Data: list, 1 of 2 training, 1 validation, 0 test subjects." in said
    assert "the training subjects choose the epoch" in said
    cohort.announce()
    assert capsys.readouterr().out == "Data: list, 0 test subjects.\n"


def test_a_simulated_folder_is_known_as_such_and_an_empty_share_of_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = simulate_cohort("ms", tmp_path / "s", subjects=2, spacing_mm=8.0, progress=False)
    cohort = open_cohort("ms", ["t1"], dataset_dir=folder, manifest="simulated_ms")
    assert cohort.simulated
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: validation: a share of 0.2 of 2 patients is rounded to 0" in said
    assert cohort.about() == {
        "name": "simulated_ms",
        "simulated": True,
        "sha256": cohort.sha256,
        "modalities": ["t1"],
    }


def test_the_scale_that_a_cohort_was_brought_to_is_told(clinic: Any):
    scale = StandardScale({"t1": (1.0, 2.0)}, 7, percents=(1.0, 99.0), origin="the source's")
    write_standard_scale(scale, clinic.folder / "standard_scale.json")
    cohort = open_cohort("ms", ["t1"], dataset_dir=clinic.folder, manifest=str(clinic.manifest))
    told = json.loads(json.dumps(cohort.about()))["standard_scale"]
    assert StandardScale.from_json(json.dumps(told)) == scale


def test_an_empty_cohort_has_no_one_to_test():
    assert Cohort("given by the caller", simulated=False).test == []
