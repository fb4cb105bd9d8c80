"""Which runs the study makes, without making them; then once in earnest, tiny."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from monai_transfer.errors import InputError
from monai_transfer.studies import G17

TABLE = "subject,group,region,dice\nsub-wmh0005_ses-followup,,lesion,0.5\n"


def finished(options: dict[str, str]) -> str:
    """What a run leaves: scores, and a history."""
    Path(options["output_dir"], "metrics.csv").write_text(TABLE)
    Path(options["output_dir"], "model.pt").write_bytes(b"weights")
    return "epoch,loss,lesion_auc,dice_at_threshold\n1,2.0,0.5,0.4\n2,1.0,0.6,0.3\n"


@pytest.fixture
def study(rescanned: Path, tmp_path: Path, runs: Any) -> G17:
    runs.history = finished
    return G17(
        tmp_path / "out",
        cases=(1, 3),
        tuned=(3, 15),
        seeds=(0, 1),
        steps=2,
        dataset_dir=rescanned,
    )


@pytest.fixture
def asked(study: G17, runs: Any) -> dict[str, dict[str, str]]:
    """Options of each run that the study makes, by the name of its folder, in order."""
    study.run()
    return {Path(options["output_dir"]).name: options for options in runs.asked}


def test_the_source_its_uses_and_every_training_are_run_once_each(asked: dict[str, Any]):
    trainings = [
        f"kind-{kind}_cases-{cases}_seed-{seed}"
        for seed in (0, 1)
        for cases in (1, 3)
        for kind in ("scratch", "last3", "last15")
    ]
    assert list(asked) == ["kind-home", "kind-direct", "kind-adabn", *trainings]


def test_each_is_the_bundle_s_own_command(asked: dict[str, Any], study: G17, rescanned: Path):
    source = str(study.output_dir / "kind-home" / "model.pt")
    for name, (config, session, given) in {
        "kind-home": ("wmh_source", "baseline", {"epochs": "12"}),
        "kind-direct": ("evaluate.json", "followup", {"weights": source}),
        "kind-adabn": ("adabn.json", "followup", {"source": source}),
        "kind-scratch_cases-1_seed-0": ("wmh_ft", "followup", {"strategy": "scratch"}),
        "kind-last3_cases-3_seed-1": (
            "wmh_ft",
            "followup",
            {"strategy": "last:3", "cases": "3", "seed": "1", "source": source},
        ),
    }.items():
        options = asked[name]
        assert config in options["config_file"]
        assert options["manifest"] == f"simulated_wmh_{session}"
        assert options["dataset_dir"] == str(rescanned)
        assert given.items() <= options.items()


def test_more_cases_are_not_more_steps(asked: dict[str, Any]):
    """2 × 128 patches; about 504 / 9 lesion voxels of each, of them a quarter, and as many others:
    28 patches of one case, 84 of three."""
    epochs = {n: int(asked[f"kind-last3_cases-{n}_seed-0"]["epochs"]) for n in (1, 3)}
    assert epochs[1] == pytest.approx(256 / 28, abs=2)
    assert epochs[3] == pytest.approx(256 / 84, abs=1)


def test_what_is_finished_is_not_run_again(study: G17, asked: dict[str, Any], runs: Any):
    before = (study.output_dir / "scores.csv").read_bytes()
    study.run()
    assert len(runs.asked) == len(asked)
    assert (study.output_dir / "scores.csv").read_bytes() == before
    replace(study, seeds=(0, 1, 2)).run()
    assert len(runs.asked) == len(asked) + 6


def test_scores_come_with_the_kept_epoch_s_validation(study: G17, asked: dict[str, Any]):
    scores = pd.read_csv(study.output_dir / "scores.csv")
    assert set(scores["validation"]) == {0.3}  # at the best area under the curve
    assert set(scores["dice"]) == {0.5}
    assert len(scores) == len(asked)


def test_a_run_that_fails_ends_the_study_with_its_error(study: G17, runs: Any):
    def fails(options: dict[str, str]) -> str:
        if "adabn" in options["output_dir"]:
            raise ArithmeticError("training: loss must stay finite, got nan.")
        return finished(options)

    runs.history = fails
    with pytest.raises(InputError, match=r"kind-adabn: run must finish, got training: loss must"):
        study.run()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cases": ()}, "study: cases must list distinct values"),
        ({"seeds": (0, 0)}, "seeds must list distinct values"),
        ({"tuned": (3, 16)}, "tuned must lie between 1 and 15, got 16"),
        ({"tuned": (0,)}, "tuned must lie between 1 and 15, got 0"),
    ],
)
def test_a_study_that_cannot_be_is_refused(changed: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        G17(tmp_path, **changed)


@pytest.mark.slow
def test_the_command_runs_the_study_and_goes_on_without_what_is_finished(
    study_command: Callable[[str], str], tmp_path: Path
):
    tiny = "g17 --subjects 12 --spacing-mm 4 --cases 1 2 --tuned 3 15 --seeds 0 --steps 3"
    tiny += " --source-epochs 1 --output-dir out"

    said = study_command(tiny)
    out = tmp_path / "out"
    for claim in ("G17.1", "G17.2", "G17.3", "G17.4"):
        assert claim in said
    assert {verdict["claim"] for verdict in json.loads((out / "claims.json").read_text())} == {
        f"G17.{number}" for number in range(1, 5)
    }
    kinds = {"home", "direct", "adabn", "scratch", "last3", "last15"}
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["kind"]) == kinds
    assert scores["dice"].between(0, 1).all()
    assert {"dice_by_cases.png", "depth_by_cases.png"} <= {path.name for path in out.iterdir()}
    finished_at = {path: path.stat().st_mtime_ns for path in out.glob("kind-*/status.json")}
    assert len(finished_at) == 9
    last = out / "kind-last15_cases-2_seed-0"
    (last / "status.json").rename(last / "gone.json")  # as if it had been killed before its end
    study_command(tiny)
    again = {path: path.stat().st_mtime_ns for path in finished_at}
    moved = [path for path in again if again[path] != finished_at[path]]
    assert moved == [last / "status.json"]
    assert pd.read_csv(out / "scores.csv").equals(scores)
