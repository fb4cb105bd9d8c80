import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console
from rich.table import Table

from monai_transfer.studies import GL20Results, gl20_results
from monai_transfer.studies.gl20_claims import MODALITIES
from monai_transfer.studies.gl20_published import Place

SUBJECTS = [f"sub-{i:02d}" for i in range(8)]
SPREAD = np.linspace(-0.1, 0.1, len(SUBJECTS))
AS_PUBLISHED: dict[Place, float] = {
    ("segan", "all", "all"): 0.828,
    ("segan-io", "all", "all"): 0.862,
    ("base", "t1", "t1"): 0.530,
    ("base", "t1c", "t1c"): 0.582,
    ("base", "t2", "t2"): 0.744,
    ("base", "flair", "flair"): 0.804,
    **{("untuned", a, b): 0.3 for a in MODALITIES for b in MODALITIES if a != b},
    ("full", "flair", "t1"): 0.510,
    ("seg", "flair", "t1"): 0.606,
    ("full", "flair", "t1c"): 0.580,
    ("seg", "flair", "t1c"): 0.600,
    ("full", "flair", "t2"): 0.766,
    ("seg", "flair", "t2"): 0.803,
}
SEG_ON_T1 = ("seg", "flair", "t1")


def study(dice: dict[Place, float], *, validated: dict[Place, float] | None = None) -> GL20Results:
    """Every place with two seeds; NaN is a training that collapsed."""
    scores, runs = [], []
    for number, (place, score) in enumerate(dice.items()):
        for seed in (0, 1):
            at = {**dict(zip(("kind", "source", "modality"), place, strict=True)), "seed": seed}
            wobble = np.random.default_rng([number, seed]).normal(0, 0.003, 8)
            values = score + SPREAD + wobble
            table = pd.DataFrame({"subject": SUBJECTS, "dice": values, "precision": values + 0.02})
            collapsed = math.isnan(score)
            if not collapsed:
                scores.append(table.assign(sensitivity=values - 0.02, **at))
            best = (validated or {}).get(place, score)
            course = {"epochs": 9, "validation": best, "unsteadiness": 0.01}
            runs.append({**at, "collapsed": collapsed, **course})
    return GL20Results(pd.concat(scores, ignore_index=True), pd.DataFrame(runs))


def answers(results: GL20Results) -> dict[str, str]:
    return {verdict.claim: verdict.answer for verdict in results.verdicts()}


def evidence(results: GL20Results, claim: str) -> str:
    return next(verdict.evidence for verdict in results.verdicts() if verdict.claim == claim)


def shown(table: Table) -> str:
    said = StringIO()
    Console(file=said, width=160).print(table)
    return said.getvalue()


def test_results_like_the_paper_s_support_its_claims_where_models_were_run():
    assert answers(study(AS_PUBLISHED)) == {
        "GL20.1a": "supported",
        "GL20.1b": "undecided",  # without the Dice term nothing was run
        "GL20.2": "supported",
        "GL20.3": "supported",
        "GL20.4": "supported",
    }


@pytest.mark.parametrize(
    ("changed", "claim", "answer"),
    [
        ({("segan", "all", "all"): 0.90}, "GL20.1a", "not supported"),
        ({("segan", "all", "all"): 0.862}, "GL20.1a", "undecided"),
        ({("base", "t2", "t2"): 0.83}, "GL20.2", "not supported"),
        ({("full", "flair", "t2"): 0.83}, "GL20.3", "not supported"),
        ({("base", "t1", "t1"): 0.65}, "GL20.4", "supported"),  # almost every target
        ({("base", "t1", "t1"): 0.65, ("base", "t2", "t2"): 0.85}, "GL20.4", "not supported"),
        ({("base", "t1", "t1"): 0.65, ("base", "t2", "t2"): 0.803}, "GL20.4", "undecided"),
    ],
)
def test_scores_decide(changed: dict[Place, float], claim: str, answer: str):
    assert answers(study(AS_PUBLISHED | changed))[claim] == answer


def test_what_is_tuned_is_chosen_on_validation_not_on_test():
    validated = {("full", "flair", "t1"): 0.9, SEG_ON_T1: 0.1}
    told = evidence(study(AS_PUBLISHED, validated=validated), "GL20.4")
    assert told.startswith("t1, Full minus scratch -0.0")
    assert "t1c, Seg minus scratch +0.0" in told


def test_sensitivity_is_named_and_dice_goes_without_saying():
    told = evidence(study(AS_PUBLISHED), "GL20.1a")
    assert told.startswith("segan-io minus segan +0.0")
    assert "; segan-io minus segan, sensitivity +0.0" in told


def test_a_training_that_collapsed_leaves_its_claims_open_and_is_told():
    results = study(AS_PUBLISHED | {("seg", "flair", "t2"): math.nan})
    assert answers(results)["GL20.3"] == "undecided"
    assert evidence(results, "GL20.3").startswith("not run or collapsed: t2, Seg minus Full; t1, ")
    assert answers(results)["GL20.4"] == "supported"  # Full is what is left on T2
    assert "t2, Full minus scratch +0.0" in evidence(results, "GL20.4")


def test_networks_that_learnt_nothing_are_not_better_than_one_another():
    results = study({place: 0.02 + dice / 1000 for place, dice in AS_PUBLISHED.items()})
    assert set(answers(results).values()) == {"undecided"}
    assert evidence(results, "GL20.3").startswith(
        "hardly anything was learnt: t1, Seg minus Full, t1c, Seg minus Full, t2"
    )


def test_the_matrix_holds_each_start_against_the_modality_s_own_base():
    matrix = study(AS_PUBLISHED | {("full", "flair", "t1c"): 0.582}).matrix()
    cells = matrix.set_index(["start", "modality"])
    assert len(matrix) == 4 * 4 + 2 * 3
    assert cells.loc[("flair, as it is", "flair"), "verdict"] == "own base"
    assert cells.loc[("flair, as it is", "t1"), "verdict"] == "NEGATIVE TRANSFER"
    full = cells.loc[("flair, then Full", "t1")]
    assert (full["verdict"], full["published"]) == (
        "NEGATIVE TRANSFER",
        "paper 0.510, files 0.483",
    )
    assert full["gain"] == pytest.approx(0.510 - 0.530, abs=0.01)
    assert cells.loc[("flair, then Full", "t1c"), "verdict"] == "no clear difference"
    assert cells.loc[("flair, then Seg", "t2"), "verdict"] == "gain"
    assert ("flair, then Seg", "flair") not in cells.index


def test_the_terminal_is_told_of_negative_transfer_and_of_the_paper():
    results = study(AS_PUBLISHED | {("segan-no-dice", "all", "all"): math.nan})
    said = shown(results.table())
    negative = results.matrix()["verdict"] == "NEGATIVE TRANSFER"
    assert said.count("NEGATIVE TRANSFER") == negative.sum() == 13
    assert "paper 0.606, files 0.570" in said
    models = shown(results.models_table())
    without = next(line for line in models.splitlines() if "segan-no-dice" in line)
    assert without.count("n/a") == 3
    assert "2 of 2" in models
    assert "0.828 / 0.915 / 0.765" in models


def test_one_seed_has_no_spread():
    results = study(AS_PUBLISHED)
    one = GL20Results(*(table[table["seed"] == 0] for table in (results.scores, results.runs)))
    assert "±" not in shown(one.table()).split("\n", 2)[2]
    assert answers(one)["GL20.3"] == "supported"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the picture was asked to show."""
    kept: dict[str, Any] = {}
    draw: Callable[..., Path] = gl20_results.heatmap
    monkeypatch.setattr(
        gl20_results,
        "heatmap",
        lambda scores, path, **more: (
            kept.update(scores=scores, **more) or draw(scores, path, **more)
        ),
    )
    return kept


def test_everything_is_written(tmp_path: Path, drawn: dict[str, Any]):
    study(AS_PUBLISHED).write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("scores.csv", "runs.csv", "matrix.csv", "gains.csv", "claims.json", "matrix.png"),
    }
    said = json.loads((tmp_path / "claims.json").read_text())
    assert [verdict["claim"] for verdict in said] == [
        *("GL20.1a", "GL20.1b", "GL20.2", "GL20.3", "GL20.4"),
    ]
    assert "T1 0.606 against 0.510" in said[3]["text"]
    assert imread(tmp_path / "matrix.png")[..., :3].std() > 0.05
    assert list(drawn["scores"].columns) == list(MODALITIES)
    notes = drawn["notes"]
    assert notes.loc["flair, then Full", "t1"].endswith("\nNEGATIVE\nTRANSFER")
    assert notes.loc["t1, as it is", "t1"] == "own\nbase"
    assert notes.loc["flair, then Seg", "flair"] == ""


def test_what_collapsed_everywhere_is_an_empty_cell(tmp_path: Path, drawn: dict[str, Any]):
    gone = {place: math.nan for place in AS_PUBLISHED if place[1] == "t1c"}
    study(AS_PUBLISHED | gone).write(tmp_path)
    assert drawn["scores"].loc["t1c, as it is"].isna().all()
    assert drawn["notes"].loc["t1c, as it is", "t1c"] == "collapsed"
    assert drawn["notes"].loc["flair, then Full", "t1c"] == ""  # no base to hold it against


def test_some_of_the_runs_that_collapsed_are_counted():
    results = study(AS_PUBLISHED)
    first = (results.runs["kind"] == "full") & (results.runs["seed"] == 0)
    runs = results.runs.assign(collapsed=first)
    assert "1 of 2 collapsed" in shown(GL20Results(results.scores, runs).table())
