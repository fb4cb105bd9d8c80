import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monai_transfer.errors import InputError
from monai_transfer.studies import Cell, grid, run_cells
from monai_transfer.studies.grid import finished_cells
from monai_transfer.training import CollapseError, Stopped


def cells(**options: Any) -> list[Cell]:
    return [
        Cell({"rate": rate, "seed": seed}, {"rate": rate, "seed": seed, **options})
        for rate in (0.1, 0.2)
        for seed in (0, 1)
    ]


def outcomes(folder: Path, asked: list[Cell]) -> list[tuple[str, str | None]]:
    found = run_cells(["train.json"], asked, output_dir=folder, description="grid")
    return [(outcome.folder.name, outcome.error) for outcome in found]


def test_every_cell_is_one_command_with_a_folder_of_its_own(tmp_path: Path, runs: Any):
    assert outcomes(tmp_path, cells()) == [
        (f"rate-{rate}_seed-{seed}", None) for rate in (0.1, 0.2) for seed in (0, 1)
    ]
    first = {"config_file": "train.json", "rate": "0.1", "seed": "0"}
    assert runs.asked[0] == {
        **first,
        "output_dir": str(tmp_path / "rate-0.1_seed-0"),
        "resume": "True",
    }


def test_finished_cells_are_not_run_again_and_new_ones_are(tmp_path: Path, runs: Any):
    outcomes(tmp_path, cells()[:2])
    (tmp_path / "rate-0.1_seed-1" / "status.json").unlink()  # as after a power cut
    assert len(outcomes(tmp_path, cells())) == 4
    assert [(run["rate"], run["seed"]) for run in runs.asked[2:]] == [
        ("0.1", "1"),
        ("0.2", "0"),
        ("0.2", "1"),
    ]


def test_a_failure_is_told_in_its_own_words_kept_and_tried_again(tmp_path: Path, runs: Any):
    whole = runs.history

    def diverge(options: dict[str, str]) -> str:
        if options["rate"] == "0.2":
            raise ArithmeticError("training, epoch 3: loss must stay finite, got nan.")
        return str(whole(options))

    runs.history = diverge
    told = "training, epoch 3: loss must stay finite, got nan."
    assert [error for _, error in outcomes(tmp_path, cells())] == [None, None, told, told]
    log = tmp_path / "rate-0.2_seed-0.log"
    assert log.read_text().startswith("some progress\na warning")
    runs.history = whole
    assert [error for _, error in outcomes(tmp_path, cells())] == [None] * 4
    assert (len(runs.asked), log.exists()) == (4 + 2, False)


def test_a_training_that_collapsed_is_a_result_and_not_tried_again(tmp_path: Path, runs: Any):
    def collapse(options: dict[str, str]) -> str:
        if options["rate"] == "0.2":
            raise CollapseError("training, epoch 3", "output", "depend on the image", got="not so")
        return "epoch,loss\n1,2.0\n"

    runs.history = collapse
    named: Any = {"output_dir": tmp_path, "description": "grid"}
    first = list(finished_cells(["train.json"], cells(), **named, may_collapse=True))
    assert [run.collapsed for run in first] == [False, False, True, True]
    assert first[2].error == "training, epoch 3: output must depend on the image, got not so."
    again = list(finished_cells(["train.json"], cells(), **named, may_collapse=True))
    assert [(run.error, run.collapsed) for run in again] == [
        *[(None, False)] * 2,
        *[("output must depend on the image", True)] * 2,
    ]
    assert len(runs.asked) == 4
    with pytest.raises(InputError, match=r"rate-0.2_seed-0: run must finish, got output must"):
        list(finished_cells(["train.json"], cells(), **named))
    with pytest.raises(InputError, match="run that is there must be of the same grid, got epochs"):
        list(finished_cells(["train.json"], cells(epochs=3)[2:], **named, may_collapse=True))


@pytest.mark.parametrize(("status", "name"), [(-9, "SIGKILL"), (143, "SIGTERM")])
def test_a_cell_that_a_signal_ended_says_so(tmp_path: Path, runs: Any, status: int, name: str):
    def interrupted(_: dict[str, str]) -> str:
        raise InterruptedError(status)

    runs.history = interrupted
    told = f"ended by {name}; the next call goes on with it"
    assert outcomes(tmp_path, cells()[:1]) == [(cells()[0].name, told)]


def test_how_many_runs_there_are_is_said_first_and_how_long_they_take_after_one(
    tmp_path: Path, runs: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    outcomes(tmp_path, cells()[:1])
    capsys.readouterr()
    clock = iter(range(0, 10_000, 300))  # seconds: every run takes five minutes
    monkeypatch.setattr(grid, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    outcomes(tmp_path, cells())
    assert [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()] == [
        "grid: 3 of 4 trainings to run",
        "It took 5 min: the 2 left take about 10 min.",
    ]


def test_a_grid_that_is_stopped_says_where_and_starts_no_other_run(
    tmp_path: Path, runs: Any, capsys: pytest.CaptureFixture[str]
):
    def stopped(_: dict[str, str]) -> str:
        raise Stopped(15)

    runs.history = stopped
    with pytest.raises(Stopped):
        outcomes(tmp_path, cells())
    assert len(runs.asked) == 1
    told = "Stopped in rate-0.1_seed-0; the same command goes on with it."
    assert told in capsys.readouterr().out


def test_results_of_other_options_or_other_data_are_never_taken_for_these(
    tmp_path: Path, runs: Any
):
    listed = tmp_path / "list.json"
    listed.write_text("{}")
    outcomes(tmp_path, cells(datalist=listed, epochs=2))
    for change in ({"epochs": 4}, {"epochs": 2, "strategy": "all"}, {}):
        with pytest.raises(InputError, match=r"rate-0.1_seed-0: run .* same grid, got (ep|st)"):
            outcomes(tmp_path, cells(datalist=listed, **change))
    listed.write_text('{"training": []}')
    with pytest.raises(InputError, match="got datalist_sha256"):
        outcomes(tmp_path, cells(datalist=listed, epochs=2))
    assert len(runs.asked) == 4


def test_the_record_of_the_cells_holds_no_folder_of_the_machine(tmp_path: Path, runs: Any):
    outcomes(tmp_path, cells(dataset_dir=tmp_path / "brats"))
    record = (tmp_path / "cells.json").read_text()
    assert str(tmp_path) not in record
    assert json.loads(record)["rate-0.1_seed-0"]["dataset_dir"] == "brats"
