"""Whether SegAN's training is unstable without its Dice term, by the runs of the study."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pandas as pd
from scipy import stats

from monai_transfer.studies.claims import Answer
from monai_transfer.studies.statistics import Interval, paired_difference

LEARNT: Final = 0.25
"""Dice below which nothing was learnt: who calls the whole brain a tumour has 0.1 to 0.2."""

PAIRS: Final = (("segan", "segan-no-dice"), ("segan-io", "segan-io-no-dice"))
"""Models with the Dice term and without it."""

_CONFIDENCE: Final = 0.95


def stability(scores: pd.DataFrame, runs: pd.DataFrame) -> tuple[Answer, str]:
    """Whether training without the Dice term is less stable than with it.

    It is if more runs are lost: collapsed, or at the end of them a Dice below :data:`LEARNT`. Where
    as many are, it is if the Dice of the others varies more from seed to seed, by the 95 % interval
    of the ratio of the variances.

    Args:
        scores: see :class:`~monai_transfer.studies.GL20Results`.
        runs: likewise.

    Returns:
        The answer, and the numbers that it rests on.

    Source:
        Ours; the paper shows one run each, figure 2.
    """
    pairs = [pair for pair in PAIRS if set(pair) <= set(runs["kind"])]
    if not pairs:
        return "undecided", "no such models were run"
    term, without = (
        _Side([_dice_of_runs(scores, runs, kind) for kind in kinds], runs[_of(runs, kinds)])
        for kinds in zip(*pairs, strict=True)
    )
    evidence = f"without: {without}; with: {term}{_loss(scores, pairs)}"
    if term.lost == term.count:
        return "undecided", f"hardly anything was learnt with the term; {evidence}"
    if without.lost != term.lost:
        return "supported" if without.lost > term.lost else "not supported", evidence
    low, high = _ratio_interval(without, term)
    if not math.isnan(low):
        evidence += f"; ratio of variances [{low:.2g}, {high:.2g}]"
    if high < 1:
        return "not supported", evidence
    return "supported" if low > 1 else "undecided", evidence


@dataclass(frozen=True)
class _Side:
    """Runs with the term, or without.

    Args:
        dice: of each model a Dice for each run; NaN of one that collapsed.
        runs: their rows.
    """

    dice: "Sequence[pd.Series[float]]"
    runs: pd.DataFrame

    @property
    def count(self) -> int:
        return sum(map(len, self.dice))

    @property
    def lost(self) -> int:
        return sum(int((~(dice >= LEARNT)).sum()) for dice in self.dice)

    @cached_property
    def variance(self) -> tuple[float, int]:
        """Of the Dice of what was not lost, about each model's mean; and degrees of freedom."""
        kept = [dice[dice >= LEARNT] for dice in self.dice]
        freedom = sum(max(0, len(dice) - 1) for dice in kept)
        squares = sum(float(((dice - dice.mean()) ** 2).sum()) for dice in kept)
        return (squares / freedom if freedom else math.nan), freedom

    def __str__(self) -> str:
        collapsed = int(self.runs["collapsed"].sum())
        told = f"{self.lost} of {self.count} runs lost ({collapsed} collapsed)"
        variance, _ = self.variance
        if not math.isnan(variance):
            told += f", SD over seeds {math.sqrt(variance):.3f}"
        moved = self.runs["unsteadiness"].mean()
        return told if math.isnan(moved) else f"{told}, validation Dice moves by {moved:.3f}"


def _of(runs: pd.DataFrame, kinds: Sequence[str]) -> "pd.Series[bool]":
    return runs["kind"].isin(kinds)


def _dice_of_runs(scores: pd.DataFrame, runs: pd.DataFrame, kind: str) -> "pd.Series[float]":
    """Mean Dice over test subjects, by seed."""
    seeds = runs.loc[runs["kind"] == kind, "seed"]
    means = scores[scores["kind"] == kind].groupby("seed")["dice"].mean()
    return means.reindex(seeds).astype(float)


def _loss(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> str:
    """How much lower the Dice is without the term, of the runs that came to an end."""
    told = []
    for term, without in pairs:
        both = scores[scores["kind"].isin([term, without])]
        wide = both.groupby(["subject", "kind"])["dice"].mean().unstack("kind")
        if {term, without} <= set(wide):
            lower: Interval = paired_difference(wide, term, than=without)
            told.append(f"; Dice, {term} minus {without} {lower}")
    return "".join(told)


def _ratio_interval(without: _Side, term: _Side) -> tuple[float, float]:
    """Interval of a ratio of variances (Fisher); NaN where one of them is not known."""
    (ours, free), (theirs, others) = without.variance, term.variance
    if not free or not others or theirs == 0:
        return math.nan, math.nan
    tail = (1 + _CONFIDENCE) / 2
    ratio = ours / theirs
    return ratio / stats.f.ppf(tail, free, others), ratio * stats.f.ppf(tail, others, free)
