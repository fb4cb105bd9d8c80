import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from rich.console import Console
from rich.table import Table

from monai_transfer.studies import G17Results, verdict_table

SUBJECTS = [f"sub-wmh{i:04d}_ses-followup" for i in range(8)]


def rows(kind: str, dice: float, cases: int = 0, seed: int = 0, validation: float = 0.5) -> list:
    """A run's test subjects: scores that differ by subject, a little by kind."""
    wobble = np.random.default_rng([len(kind), cases, seed]).normal(0, 0.004, len(SUBJECTS))
    spread = np.linspace(-0.1, 0.1, len(SUBJECTS))
    session = "baseline" if kind == "home" else "followup"
    return [
        {
            "kind": kind,
            "cases": cases,
            "seed": seed,
            "subject": name.replace("followup", session),
            "dice": dice + s + w,
            "validation": validation,
        }
        for name, s, w in zip(SUBJECTS, spread, wobble, strict=True)
    ]


def study(trained: dict[tuple[str, int], float], home: float = 0.7, direct: float = 0.1):
    parts = [rows("home", home), rows("direct", direct), rows("adabn", 0.3)]
    for (kind, cases), dice in trained.items():
        parts += [rows(kind, dice, cases, seed, validation=dice) for seed in (0, 1)]
    return G17Results(pd.DataFrame(list(itertools.chain(*parts))))


AS_PUBLISHED = {
    ("scratch", 2): 0.15,
    ("last3", 2): 0.63,
    ("last9", 2): 0.5,
    ("last15", 2): 0.45,
    ("scratch", 12): 0.5,
    ("last3", 12): 0.65,
    ("last9", 12): 0.71,
    ("last15", 12): 0.71,
}


def test_results_like_the_paper_s_support_all_of_its_claims():
    verdicts = study(AS_PUBLISHED).verdicts()
    assert [v.claim for v in verdicts] == ["G17.1", "G17.2", "G17.3", "G17.4"]
    assert {v.answer for v in verdicts} == {"supported"}
    assert "home 0.700, target 0.10" in verdicts[0].evidence
    assert "2 cases, last 3 (chosen on validation) minus scratch +0.4" in verdicts[1].evidence


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({("scratch", 2): 0.8}, "G17.2"),
        ({("last15", 2): 0.7}, "G17.3"),
        ({("last15", 12): 0.5}, "G17.3"),
        ({("last15", 12): 0.8}, "G17.4"),
    ],
)
def test_results_against_a_claim_are_said_to_be(changed: dict, claim: str):
    verdicts = {v.claim: v.answer for v in study(AS_PUBLISHED | changed).verdicts()}
    assert verdicts[claim] == "not supported"


def test_a_source_that_keeps_more_than_half_has_not_collapsed():
    (first, *_) = study(AS_PUBLISHED, direct=0.5).verdicts()
    assert first.answer == "not supported"


def test_one_depth_leaves_the_claims_about_depth_undecided(tmp_path: Path):
    one = study({at: dice for at, dice in AS_PUBLISHED.items() if at[0] in ("scratch", "last3")})
    answers = {v.claim: (v.answer, v.evidence) for v in one.verdicts()}
    assert answers["G17.2"][0] == "supported"
    for claim in ("G17.3", "G17.4"):
        assert answers[claim] == ("undecided", "one depth alone was run")
    one.write(tmp_path)
    assert (tmp_path / "depth_by_cases.png").is_file()


def test_one_seed_one_case_and_one_test_subject_are_told_without_nan():
    scores = study({(kind, 1): dice for (kind, _), dice in AS_PUBLISHED.items()}).scores
    first = scores["subject"].str.startswith("sub-wmh0000")
    results = G17Results(scores[first & (scores["seed"] == 0)])
    told = drawn(results.table()) + drawn(verdict_table(results.verdicts()))
    assert "nan" not in told
    assert "±" not in told
    assert "test subjects, of one seed" in told
    assert "1 case, last " in told
    assert "(one subject)" in told
    several = drawn(study(AS_PUBLISHED).table())
    assert "mean ± SD over seeds" in several
    assert several.count("±") == 1 + len(AS_PUBLISHED)


def drawn(table: Table) -> str:
    console = Console(width=300)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_depth_is_chosen_by_validation_not_by_the_test():
    scores = study(AS_PUBLISHED).scores
    scores.loc[(scores["kind"] == "last15") & (scores["cases"] == 2), "validation"] = 0.99
    assert G17Results(scores).chosen(2) == 15
    assert G17Results(scores).chosen(12) in (9, 15)


def test_the_heatmap_s_table_is_cases_by_tuned_layers_with_scratch_as_0():
    means = study(AS_PUBLISHED).depths()
    assert list(means.columns) == [0, 3, 9, 15]
    assert list(means.index) == [2, 12]
    assert means.loc[2, 3] == pytest.approx(0.63, abs=0.01)


def test_everything_is_written_and_drawn(tmp_path: Path):
    study(AS_PUBLISHED).write(tmp_path)
    assert set(pd.read_csv(tmp_path / "scores.csv")["subject"]) > {SUBJECTS[0]}
    assert [v["answer"] for v in json.loads((tmp_path / "claims.json").read_text())] == [
        "supported"
    ] * 4
    for name in ("dice_by_cases.png", "depth_by_cases.png"):
        assert imread(tmp_path / name).std() > 0.05  # something is drawn
