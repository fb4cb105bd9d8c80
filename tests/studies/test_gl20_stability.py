import math
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from monai_transfer.studies.gl20_stability import stability

STEADY = [0.82, 0.83, 0.825]


def runs_of(dice: Mapping[str, Sequence[float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of two subjects and courses: a Dice for each seed, NaN where it collapsed."""
    scores, runs = [], []
    for kind, values in dice.items():
        for seed, value in enumerate(values):
            at = {"kind": kind, "source": "all", "modality": "all", "seed": seed}
            collapsed = math.isnan(value)
            runs.append({**at, "collapsed": collapsed, "unsteadiness": 0.02})
            if not collapsed:
                for subject, apart in (("a", -0.05), ("b", 0.05)):
                    scores.append({**at, "subject": subject, "dice": value + apart})
    return pd.DataFrame(scores), pd.DataFrame(runs)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ([0.70, math.nan, 0.71], "supported"),  # one collapsed
        ([0.70, 0.20, 0.71], "supported"),  # one learnt nothing
        ([0.35, 0.60, 0.80], "supported"),  # far apart
        ([0.705, 0.70, 0.71], "undecided"),  # three seeds do not tell
        ([0.70, 0.71], "undecided"),
    ],
)
def test_lost_runs_and_spread_over_seeds_decide(without: list[float], said: str):
    assert stability(*runs_of({"segan": STEADY, "segan-no-dice": without}))[0] == said


def test_a_term_that_makes_it_worse_is_not_supported():
    worse = {"segan": [0.8, math.nan, 0.2], "segan-no-dice": STEADY}
    assert stability(*runs_of(worse))[0] == "not supported"
    apart = {"segan": [0.3, 0.55, 0.8], "segan-no-dice": STEADY}
    assert stability(*runs_of(apart))[0] == "not supported"


def test_both_critics_count_together():
    """SD of .03 over .005 of three seeds is not clear; of twice three it is."""
    steady, wide = [0.820, 0.825, 0.830], [0.68, 0.70, 0.72]
    one = {"segan": steady, "segan-no-dice": wide}
    both = one | {"segan-io": [0.85, 0.855, 0.86], "segan-io-no-dice": [0.78, 0.80, 0.82]}
    assert stability(*runs_of(one))[0] == "undecided"
    assert stability(*runs_of(both))[0] == "supported"


def test_evidence_tells_runs_spread_and_dice():
    _, told = stability(*runs_of({"segan": STEADY, "segan-no-dice": [0.70, math.nan, 0.74]}))
    assert told.startswith("without: 1 of 3 runs lost (1 collapsed), SD over seeds 0.028, valid")
    assert "with: 0 of 3 runs lost (0 collapsed), SD over seeds 0.005" in told
    assert "Dice, segan minus segan-no-dice +0.105" in told


@pytest.mark.parametrize(
    ("dice", "told"),
    [
        ({"segan": STEADY}, "no such models were run"),
        ({"segan": [0.02, 0.01], "segan-no-dice": [0.01, 0.02]}, "hardly anything was learnt"),
        ({"segan": [0.8], "segan-no-dice": [0.7]}, "0 of 1 runs lost"),
    ],
)
def test_what_cannot_be_told_is_undecided(dice: dict[str, list[float]], told: str):
    said, evidence = stability(*runs_of(dice))
    assert said == "undecided"
    assert told in evidence
