"""What the study of Ghafoorian 2017's two questions found, and what it says of the paper."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.metrics import write_csv
from monai_transfer.studies.claims import Verdict, answer
from monai_transfer.studies.statistics import Interval, paired_difference
from monai_transfer.training.pictures import dice_by_region, heatmap

SCRATCH: Final = "scratch"
HOME: Final = "home"
DIRECT: Final = "direct"
ADABN: Final = "adabn"
_DEPTH_GROWS: Final = "few cases: tune only the last layers; more cases: tune deeper"
_FIRST_LAYERS: Final = "tuning the first few convolutions rarely helps"
_MARGIN: Final = 0.01
"""Dice that is taken as no difference."""


@dataclass(frozen=True)
class G17Results:
    """What the study found.

    Args:
        scores: a row for each test subject of each run: ``kind`` (``home``, ``direct``, ``adabn``,
            ``scratch``, ``last1`` … ``last15``), ``cases``, ``seed``, ``subject``, ``dice``,
            ``validation`` (the run's Dice on the validation subjects at its operating point).
    """

    scores: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write the table, the verdicts and both figures."""
        write_csv(self.scores.assign(group="", region="lesion"), folder / "scores.csv")
        with written_aside(folder / "claims.json") as aside:
            verdicts = [verdict.as_dict() for verdict in self.verdicts()]
            aside.write_text(json.dumps(verdicts, indent=2) + "\n", "utf-8")
        means = self._runs().rename(columns={"kind": "strategy"})
        shown = [SCRATCH, self._kinds()[0], *self._deepest_and_shallowest(), ADABN, DIRECT]
        curves = means[means["strategy"].isin(shown)].assign(region="WMH on the target's test")
        dice_by_region(curves, folder / "dice_by_cases.png")
        mean, spread = (self.depths(value) for value in ("mean", "std"))
        mean.index.name, mean.columns.name = "training cases", "tuned layers (0: from scratch)"
        heatmap(mean, folder / "depth_by_cases.png", score="Dice", spread=spread)

    def depths(self, value: str = "mean") -> pd.DataFrame:
        """Mean (or ``std`` over seeds) of Dice: cases × number of tuned layers, 0 is scratch."""
        runs = self._trained(self._runs())
        return runs.groupby(["cases", "tuned"])["dice"].agg(value).unstack("tuned")

    def chosen(self, cases: int) -> int:
        """How many layers to tune with so many cases, as the validation subjects say."""
        runs = self._trained(self.scores)
        tuned = runs[(runs["cases"] == cases) & (runs["tuned"] > 0)]
        return int(tuned.groupby("tuned")["validation"].mean().idxmax())

    def table(self) -> Table:
        """Mean ± SD over seeds for the terminal; the depth that validation chooses is bold.

        A single seed has no SD: it is left out.
        """
        mean, spread = self.depths("mean"), self.depths("std")
        what = ", mean ± SD over seeds" if spread.notna().any(axis=None) else ", of one seed"
        table = Table(title=f"Dice on the target's test subjects{what}")
        table.add_column("cases")
        for tuned in mean.columns:
            table.add_column(f"last {tuned}" if tuned else SCRATCH)
        for cases in mean.index:
            best = self.chosen(cases)
            cells = (
                _cell(mean.loc[cases, k], spread.loc[cases, k], bold=k == best)
                for k in mean.columns
            )
            table.add_row(str(cases), *cells)
        kinds = {HOME: "source at home", DIRECT: "source on target", ADABN: "adabn, no labels"}
        listed = (f"{text} {self._mean(kind):.3f}" for kind, text in kinds.items())
        table.caption = ", ".join(listed)
        return table

    def verdicts(self) -> list[Verdict]:
        """The paper's claims, G17.1 to G17.4, held against these runs."""
        return [self._collapse(), self._two_cases(), self._depth_grows(), self._first_layers()]

    def _collapse(self) -> Verdict:
        home, target = (self._by_subject(kind).rename(kind) for kind in (HOME, DIRECT))
        both = pd.concat(
            [home.groupby(_patient).mean() / 2, target.groupby(_patient).mean()], axis=1
        )
        gain = paired_difference(both, HOME, than=DIRECT)
        text = "the source is good at home (0.76) and collapses on the target (0.005)"
        evidence = (
            f"home {home.mean():.3f}, target {target.mean():.3f}; half of home minus target {gain}"
        )
        return Verdict("G17.1", text, answer(gain), evidence)

    def _two_cases(self) -> Verdict:
        cases = int(self._sizes().min())
        tuned = self.chosen(cases)
        gain = self._gain(cases, f"last{tuned}", than=SCRATCH)
        text = "fine-tuned on 2 cases (0.63) beats scratch on 2 cases (0.15)"
        evidence = f"{_cases(cases)}, last {tuned} (chosen on validation) minus scratch {gain}"
        return Verdict("G17.2", text, answer(gain), evidence)

    def _depth_grows(self) -> Verdict:
        few, many = int(self._sizes().min()), int(self._sizes().max())
        deepest, shallow = self._deepest_and_shallowest()
        if deepest == shallow:
            return _undecided("G17.3", _DEPTH_GROWS)
        gains = self._gain(few, shallow, than=deepest), self._gain(many, deepest, than=shallow)
        evidence = (
            f"{_cases(few)}, {shallow} minus {deepest} {gains[0]}; "
            f"{_cases(many)}, {deepest} minus {shallow} {gains[1]}"
        )
        return Verdict("G17.3", _DEPTH_GROWS, answer(*gains), evidence)

    def _first_layers(self) -> Verdict:
        if len(self._kinds()) == 1:
            return _undecided("G17.4", _FIRST_LAYERS)
        deepest, second = self._kinds()[-1], self._kinds()[-2]
        gains = {int(n): self._gain(int(n), second, than=deepest) for n in self._sizes()}
        spared = [Interval(g.mean + _MARGIN, g.low + _MARGIN, g.high, g.n) for g in gains.values()]
        listed = ", ".join(f"{_cases(cases)} {gain}" for cases, gain in gains.items())
        evidence = f"{second} minus {deepest} (less than {_MARGIN} lost is none): {listed}"
        return Verdict("G17.4", _FIRST_LAYERS, answer(*spared), evidence)

    def _gain(self, cases: int, better: str, *, than: str) -> Interval:
        both = {kind: self._by_subject(kind, cases) for kind in (better, than)}
        return paired_difference(pd.DataFrame(both), better, than=than)

    def _by_subject(self, kind: str, cases: int = 0) -> "pd.Series[float]":
        rows = self.scores[(self.scores["kind"] == kind) & (self.scores["cases"] == cases)]
        return rows.groupby("subject")["dice"].mean()

    def _mean(self, kind: str) -> float:
        return float(self._by_subject(kind).mean())

    def _runs(self) -> pd.DataFrame:
        keys = ["kind", "cases", "seed"]
        return self.scores.groupby(keys, sort=False)["dice"].mean().reset_index()

    def _trained(self, rows: pd.DataFrame) -> pd.DataFrame:
        trained = rows[rows["cases"] > 0]
        tuned = trained["kind"].replace({SCRATCH: "last0"}).str.removeprefix("last").astype(int)
        return trained.assign(tuned=tuned)

    def _sizes(self) -> Any:
        return self.scores.loc[self.scores["cases"] > 0, "cases"].unique()

    def _kinds(self) -> list[str]:
        """Tuned kinds, from the fewest layers to the most."""
        tuned = sorted(k for k in self.depths().columns if k > 0)
        return [f"last{k}" for k in tuned]

    def _deepest_and_shallowest(self) -> tuple[str, str]:
        """All layers (or the most there are), and the dense layers alone (or the nearest)."""
        kinds = self._kinds()
        shallow = min(kinds, key=lambda kind: abs(int(kind.removeprefix("last")) - 3))
        return kinds[-1], shallow


def _undecided(claim: str, text: str) -> Verdict:
    return Verdict(claim, text, "undecided", "one depth alone was run")


def _cases(count: int) -> str:
    """A number of cases in words.

    Example:
        >>> _cases(1), _cases(2)
        ('1 case', '2 cases')
    """
    return f"{count} case{'s' * (count != 1)}"


def _cell(mean: float, spread: float, *, bold: bool) -> str:
    """A cell of the table; the spread of a single seed is NaN."""
    told = f"[bold]{mean:.3f}[/]" if bold else f"{mean:.3f}"
    return told if math.isnan(spread) else f"{told} ± {spread:.3f}"


def _patient(subject: str) -> str:
    """A patient's name without the session, which both domains share.

    Example:
        >>> _patient("sub-wmh0001_ses-baseline")
        'sub-wmh0001'
    """
    return subject.partition("_ses-")[0]
