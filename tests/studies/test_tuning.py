import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console

from monai_transfer.errors import InputError
from monai_transfer.studies import Tuning, TuningPlan, plan_tuning, tuning

GRID = {"learning_rate": [0.01, 0.003], "class_weight_decay": [0.5, 0.8]}
DICE = {("0.01", "0.5"): 0.4, ("0.01", "0.8"): 0.5, ("0.003", "0.5"): 0.7, ("0.003", "0.8"): 0.6}


def scores(options: dict[str, str]) -> str:
    """Two epochs; fold 2 is 0.1 better than fold 1."""
    dice = DICE[options["learning_rate"], options["class_weight_decay"]]
    dice += 0.1 * options["datalist"].endswith("2.json")
    return f"epoch,loss,mean_dice,dice_core\n1,2.0,{dice},0.3\n2,1.0,{dice - 0.2},0.9\n"


@pytest.fixture
def plan(data: Path, tmp_path: Path) -> TuningPlan:
    options = {"dataset_dir": str(data), "manifest": "simulated_brats", "cases": 4, "epochs": 2}
    return plan_tuning("brats_ft", tmp_path / "out", grid=GRID, folds=2, options=options)


@pytest.fixture
def tuned(plan: TuningPlan, runs: Any) -> Tuning:
    runs.history = scores
    return plan.run()


def test_every_setting_is_run_on_every_fold_with_all_of_its_training_cases(
    plan: TuningPlan, tuned: Tuning, runs: Any, data: Path
):
    assert len(runs.asked) == len(plan.commands()) == 4 * 2
    asked = {(r["learning_rate"], r["class_weight_decay"], r["datalist"]) for r in runs.asked}
    assert len(asked) == 8
    for run in runs.asked:
        assert (run["cases"], run["epochs"], run["dataset_dir"]) == ("$None", "2", str(data))
        assert "manifest" not in run
        assert len(json.loads(Path(run["datalist"]).read_text())["training"]) == 2


def test_a_setting_scores_the_mean_over_folds_of_the_best_epoch(tuned: Tuning):
    assert tuned.settings["mean"].round(6).tolist() == [0.45, 0.55, 0.75, 0.65]
    assert tuned.settings["sd"].round(6).tolist() == [round(0.1 / math.sqrt(2), 6)] * 4
    assert set(tuned.runs["epoch"]) == {1}
    assert set(tuned.runs["dice_core"]) == {0.3}  # of that epoch, not its own best


def test_the_best_setting_is_the_command_to_type_next(tuned: Tuning, data: Path):
    assert tuned.best == {"learning_rate": 0.003, "class_weight_decay": 0.5}
    words = " ".join(tuned.command)
    for part in ("--cases 4", "--learning_rate 0.003", "--class_weight_decay 0.5", "--epochs 2"):
        assert f" {part}" in f"{words} "
    assert f"--dataset_dir {data} --manifest simulated_brats" in words
    assert "folds" not in words


def test_table_and_picture_are_left_in_the_folder(tuned: Tuning, tmp_path: Path):
    table = pd.read_csv(tmp_path / "out" / "tuning.csv")
    assert table["mean_dice"].tolist() == pytest.approx(tuned.runs["mean_dice"].tolist())
    assert np.ptp(imread(tmp_path / "out" / "tuning.png")) > 0.5


def test_a_setting_that_failed_on_one_fold_has_no_mean_and_is_not_the_best(
    plan: TuningPlan, runs: Any
):
    def diverge(options: dict[str, str]) -> str:
        if "learning_rate-0.003_class_weight_decay-0.5_fold-2" in options["output_dir"]:
            raise ArithmeticError("training: loss must stay finite, got nan.")
        return scores(options)

    runs.history = diverge
    tuned = plan.run()
    assert tuned.settings["mean"].isna().tolist() == [False, False, True, False]
    assert tuned.settings["failed"].tolist() == [0, 0, 1, 0]
    assert tuned.best == {"learning_rate": 0.003, "class_weight_decay": 0.8}
    console = Console(width=120)
    with console.capture() as shown:
        console.print(tuned.table())
    assert "n/a: 1 of 2 folds failed" in shown.get()
    assert "0.6500 ± 0.0707" in shown.get()


def test_a_grid_of_failures_ends_with_the_first_of_them(plan: TuningPlan, runs: Any):
    def fail(options: dict[str, str]) -> str:
        raise ArithmeticError(f"rate {options['learning_rate']} is too high.")

    runs.history = fail
    with pytest.raises(InputError, match=r"finish on every fold, got rate 0\.01 is too high"):
        plan.run()


def test_a_second_call_runs_nothing_and_says_the_same(
    plan: TuningPlan, tuned: Tuning, runs: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuning, "heatmap", lambda *_, **__: None)
    again = plan.run()
    assert len(runs.asked) == 8
    pd.testing.assert_frame_equal(again.settings, tuned.settings)


@pytest.mark.parametrize(("axes", "drawn"), [(1, True), (3, False)])
def test_a_grid_of_any_number_of_axes_is_tuned(
    axes: int, data: Path, tmp_path: Path, runs: Any, *, drawn: bool
):
    options = {"dataset_dir": str(data), "manifest": "simulated_brats", "cases": 4}
    names = ("epochs", "batch_size", "seed")[:axes]
    grid = {name: [1, 2] for name in names}
    folder = tmp_path / "out"
    tuned = plan_tuning("brats_ft", folder, grid=grid, folds=2, options=options).run()
    assert len(tuned.settings) == 2**axes
    assert tuned.best == dict.fromkeys(names, 1)  # all are equal: the first
    assert (folder / "tuning.png").exists() is drawn


def test_the_cases_of_the_bundle_are_divided_where_none_are_asked_for(data: Path, tmp_path: Path):
    options = {"dataset_dir": str(data), "manifest": "simulated_brats"}
    with pytest.raises(InputError, match=r"cases must be 1 to 6, .* got 12"):
        plan_tuning("brats_ft", tmp_path / "out", grid=GRID, options=options)


def test_a_bundle_without_a_spacing_or_class_weights_is_tuned_too(
    rescanned: Path, tmp_path: Path, runs: Any
):
    runs.history = lambda options: f"epoch,loss,lesion_auc\n1,2.0,{options['learning_rate']}\n"
    options = {"dataset_dir": str(rescanned), "manifest": "simulated_wmh_followup"}
    grid = {"learning_rate": [0.001, 0.01]}
    plan = plan_tuning(
        "wmh_ft", tmp_path / "out", grid=grid, folds=2, options={**options, "cases": 4}
    )
    tuned = plan.run()
    assert (tuned.metric, tuned.best) == ("lesion_auc", {"learning_rate": 0.01})
    assert len(runs.asked) == 2 * 2
    assert not any("spacing_mm" in asked for asked in runs.asked)
    with pytest.raises(InputError, match=r"option must be one of .* got class_weight_decay"):
        plan_tuning("wmh_ft", tmp_path / "out", grid={"class_weight_decay": [0.5]}, folds=2)
