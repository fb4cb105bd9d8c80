"""What the study of sources found, and what it says of Zoetmulder 2022."""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.metrics import write_csv
from monai_transfer.studies.claims import Answer, Verdict, answer
from monai_transfer.studies.statistics import Interval, paired_difference
from monai_transfer.training.pictures import detection_by_source, dice_by_region

SCORES: Final[Mapping[str, str]] = MappingProxyType(
    {"stroke": "dice", "ms": "dice", "anatomy": "iou"}
)
"""Target → the score that the paper judges it by."""

DETECTED: Final = ("stroke", "ms")
"""Targets whose lesions are counted."""

SCRATCH: Final = "scratch"
IMAGENET: Final = "imagenet"
_SAME: Final = "mri-segmentation"
_MARGIN: Final = 0.01
"""Dice or IoU that is taken as no difference."""
_LEARNT: Final = 0.1
"""Dice or IoU below which no source is said to be as good as another: all are as bad."""
_RECALL_MARGIN: Final = 0.1
"""Share of the lesions that is taken as hardly any difference."""


@dataclass(frozen=True)
class Z22Results:
    """What the study found; each table has the columns ``target``, ``source``, ``cases``, ``seed``.

    Args:
        subjects: a row for each test subject of each run: ``subject``, ``dice``, ``iou`` (of its
            volume, means over regions).
        slices: what :func:`~monai_transfer.metrics.slice_summary` gives of each run.
        detection: what :func:`~monai_transfer.metrics.detection_curve` gives of each run that
            counts lesions, with its ``connectivity``.
    """

    subjects: pd.DataFrame
    slices: pd.DataFrame
    detection: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write the tables, the verdicts and the figures."""
        tables = {"subjects": self.subjects, "slices": self.slices, "detection": self.detection}
        for name, frame in {**tables, "gains": self.gains()}.items():
            write_csv(frame, folder / f"{name}.csv")
        with written_aside(folder / "claims.json") as aside:
            verdicts = [verdict.as_dict() for verdict in self.verdicts()]
            aside.write_text(json.dumps(verdicts, indent=2) + "\n", "utf-8")
        runs = self.by_slice().rename(columns={"source": "strategy", "mean": "dice"})
        stroke = runs[runs["target"] == "stroke"].assign(region="stroke, mean over slices")
        dice_by_region(stroke, folder / "stroke_dice_by_cases.png")
        detection_by_source(self._at_most_cases(), folder / "detection.png")

    def by_slice(self, empty: str = "skip") -> pd.DataFrame:
        """Each run's mean over test slices: Dice of lesions, IoU of the anatomy, as in the paper.

        Args:
            empty: what a slice scores that is empty in truth and prediction, see
                :mod:`monai_transfer.metrics.slices`.
        """
        kept = (self.slices["unit"] == "slice") & (self.slices["empty"] == empty)
        return self.slices[kept & (self.slices["metric"] == self.slices["target"].map(SCORES))]

    def table(self, empty: str = "skip") -> Table:
        """For the terminal: the mean over slices of each source, ± SD over seeds."""
        runs = self.by_slice(empty).groupby(["target", "cases", "source"], sort=False)["mean"]
        means, spreads = runs.mean().to_dict(), runs.std().to_dict()
        title = "Mean over test slices, ± SD over seeds; slices empty in both "
        table = Table(title=title + {"skip": "left out", "one": "count as 1"}[empty])
        table.add_column("source", no_wrap=True, min_width=max(map(len, self._sources())))
        for target, cases in self._places():
            score = {"dice": "Dice", "iou": "IoU"}[SCORES[target]]
            table.add_column(f"{target}\n{cases} cases\n{score}", justify="right")
        for source in self._sources():
            places = [(target, cases, source) for target, cases in self._places()]
            table.add_row(source, *(_cell(means[place], spreads[place]) for place in places))
        return table

    def gains(self) -> pd.DataFrame:
        """What the claims rest on: paired differences over test subjects, seeds averaged before.

        Returns:
            A row for each: ``claim``, ``target``, ``cases``, ``better`` (the source that the claim
            expects to be better, or as good), ``than``, ``score`` (of volumes) and the fields of
            :class:`~monai_transfer.studies.statistics.Interval`.
        """
        rows = []
        most = self._most_cases()
        for target, cases in self._places():
            volumes, recalls = self._volumes(target, cases), self._recalls(target, cases)
            for better, than in itertools.permutations(self._sources(), 2):
                for claim in _claims_on(target, better, than=than, largest=cases == most[target]):
                    scores = recalls if claim == "Z22.3" else volumes
                    gain = paired_difference(scores, better, than=than)
                    place = {"claim": claim, "target": target, "cases": cases}
                    pair = {"better": better, "than": than, "score": scores.columns.name}
                    rows.append(place | pair | asdict(gain))
        return pd.DataFrame(rows, columns=_GAIN_COLUMNS)

    def verdicts(self) -> list[Verdict]:
        """The paper's claims, Z22.1 to Z22.3, held against these runs."""
        gains = self.gains()
        verdicts = []
        for claim, (text, judge) in _CLAIMS.items():
            rows = gains[gains["claim"] == claim]
            intervals = [Interval(*row) for row in rows[_FIELDS].itertuples(index=False)]
            evidence, unlearnt = _evidence(rows, intervals), self._unlearnt(rows)
            said: Answer = judge(intervals) if intervals and not unlearnt else "undecided"
            if unlearnt:
                evidence = f"hardly anything was learnt of {', '.join(unlearnt)}; {evidence}"
            verdicts.append(Verdict(claim, text, said, evidence))
        return verdicts

    def _volumes(self, target: str, cases: int) -> pd.DataFrame:
        """Score of each test subject's volume, a column for each source."""
        here = (self.subjects["target"] == target) & (self.subjects["cases"] == cases)
        return _wide(self.subjects[here], SCORES[target])

    def _recalls(self, target: str, cases: int) -> pd.DataFrame:
        """Share of each test subject's lesions that is detected, as the paper counts them."""
        rows = self.detection
        here = (rows["target"] == target) & (rows["cases"] == cases) & (rows["connectivity"] == 8)
        least = (rows["overlap_cutoff_fraction"] == 0) & (rows["volume_cutoff_ml"] == 0)
        return _wide(rows[here & least], "recall")

    def _unlearnt(self, rows: pd.DataFrame) -> list[str]:
        """Targets of which no source learnt enough to be told from another."""
        places = rows[["target", "cases"]].drop_duplicates().itertuples(index=False, name=None)
        return [
            f"{target} ({cases} cases)"
            for target, cases in places
            if self._volumes(target, cases).mean().max() < _LEARNT
        ]

    def _places(self) -> list[tuple[str, int]]:
        return list(
            self.subjects[["target", "cases"]].drop_duplicates().itertuples(index=False, name=None)
        )

    def _most_cases(self) -> dict[str, int]:
        most: dict[str, int] = self.subjects.groupby("target")["cases"].max().to_dict()
        return most

    def _sources(self) -> list[str]:
        return list(self.subjects["source"].unique())

    def _at_most_cases(self) -> pd.DataFrame:
        return self.detection[
            self.detection["cases"] == self.detection["target"].map(self._most_cases())
        ]


_FIELDS: Final = ["mean", "low", "high", "n"]
_GAIN_COLUMNS: Final = ["claim", "target", "cases", "better", "than", "score", *_FIELDS]


def _claims_on(target: str, better: str, *, than: str, largest: bool) -> list[str]:
    """The claims that expect something of one source against another on a target.

    Args:
        target: the one.
        better: source that the claim expects to be better, or as good.
        than: the other.
        largest: whether the training set is the target's largest.
    """
    claims = []
    if better == _SAME and largest:
        claims += ["Z22.1"] * (target != "ms") + ["Z22.3"] * (target in DETECTED)
    domain, _, task = than.partition("-")
    if task == "classification" and target != "anatomy" and better.startswith(f"{domain}-"):
        claims.append("Z22.2")
    return claims


def _wide(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Mean over seeds: subject × source, the columns named after the score."""
    means = rows.groupby(["subject", "source"])[score].mean().unstack("source")
    return means.rename_axis(columns=score)


def _as_good(gains: Sequence[Interval]) -> Answer:
    return answer(
        *(Interval(g.mean + _MARGIN, g.low + _MARGIN, g.high + _MARGIN, g.n) for g in gains)
    )


def _better(gains: Sequence[Interval]) -> Answer:
    return answer(*gains)


def _hardly_moved(gains: Sequence[Interval]) -> Answer:
    if any(g.low > _RECALL_MARGIN or g.high < -_RECALL_MARGIN for g in gains):
        return "not supported"
    inside = all(g.low > -_RECALL_MARGIN and g.high < _RECALL_MARGIN for g in gains)
    return "supported" if inside else "undecided"


_AS_GOOD: Final = (
    "the same domain's segmentation source is at least as good as every other, on stroke and on "
    f"anatomy (less than {_MARGIN} lost is none)"
)
_CONSISTENTLY_LOW: Final = "classification sources give consistently low Dice"
_HARDLY_MOVED: Final = (
    "the source hardly moves lesion detection at 0 % overlap "
    f"(by less than {_RECALL_MARGIN} of the lesions)"
)
_CLAIMS: Final[Mapping[str, tuple[str, Callable[[Sequence[Interval]], Answer]]]] = {
    "Z22.1": (_AS_GOOD, _as_good),
    "Z22.2": (_CONSISTENTLY_LOW, _better),
    "Z22.3": (_HARDLY_MOVED, _hardly_moved),
}
"""Claim → what the paper says, and how intervals answer it."""


def _evidence(rows: pd.DataFrame, intervals: Sequence[Interval]) -> str:
    """The lowest and the highest of the differences."""
    if not intervals:
        return "no such sources were run"
    order = sorted(range(len(intervals)), key=lambda i: intervals[i].mean)
    said = []
    for name, i in (("lowest", order[0]), ("highest", order[-1])):
        row = rows.iloc[i]
        said.append(
            f"{name} of {len(intervals)}: {row['target']} ({row['cases']} cases), "
            f"{row['better']} minus {row['than']} {intervals[i]}"
        )
    return "; ".join(dict.fromkeys(said))


def _cell(mean: float, spread: float) -> str:
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f}\n± {spread:.3f}"
