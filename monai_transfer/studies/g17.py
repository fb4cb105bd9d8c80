"""Ghafoorian 2017's two questions: how many scans of the new protocol, and how many layers?"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.bundle import bundles_dir, open_cohort
from monai_transfer.errors import InputError
from monai_transfer.metrics import read_csv, write_csv
from monai_transfer.simulation import simulate_cohort
from monai_transfer.studies.claims import Verdict, answer
from monai_transfer.studies.grid import Cell, run_cells
from monai_transfer.studies.statistics import Interval, paired_difference
from monai_transfer.training import console
from monai_transfer.training.pictures import dice_by_region, heatmap
from monai_transfer.training.segmentation import read_label

LAYERS: Final = 15
SCRATCH: Final = "scratch"
_HOME, _DIRECT, _ADABN = "home", "direct", "adabn"
_MARGIN: Final = 0.01
"""Dice that is taken as no difference."""


@dataclass(frozen=True)
class G17:
    """The study: its settings, and how to run it.

    Args:
        output_dir: gets the cohort, a folder for each run, tables and pictures. What is finished
            there is not run again.
        subjects: simulated patients, where `dataset_dir` is ``None``.
        spacing_mm: in-plane, of the simulated scans.
        cases: sizes of the target's training set.
        tuned: how many of the last layers are tuned; 15 is all of them.
        seeds: repeats, each with its own subset, initialisation and patches.
        steps: of 128 patches, of every run: more cases are not also more training.
        source: weights of the source; the bundle's.
        dataset_dir: simulated by an earlier study; ``None`` simulates one.

    Raises:
        InputError: an empty axis, or a number of layers that the network does not have.

    Source:
        Ghafoorian 2017, section 2.5. Equal steps for every size, validation choosing the depth, and
        the statistics are ours.
    """

    output_dir: Path
    subjects: int = 40
    spacing_mm: float = 2.0
    cases: Sequence[int] = (2, 5, 12)
    tuned: Sequence[int] = (1, 3, 6, 9, 12, 15)
    seeds: Sequence[int] = (0, 1, 2)
    steps: int = 200
    source: str = "wmh_source"
    dataset_dir: Path | None = None

    def __post_init__(self) -> None:
        for name in ("cases", "tuned", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError("study", name, "list distinct values", got=list(values))
        strange = [k for k in self.tuned if not 1 <= k <= LAYERS]
        if strange:
            raise InputError("study", "tuned", f"lie between 1 and {LAYERS}", got=strange[0])

    @property
    def cohort(self) -> Path:
        """Folder of the patients, scanned by both protocols."""
        return self.dataset_dir or self.output_dir / "cohort"

    def run(self) -> "G17Results":
        """Simulate, run what is not finished, judge, draw.

        Raises:
            InputError: a run failed, with its error.
        """
        if self.dataset_dir is None:
            simulate_cohort(
                "wmh",
                self.cohort,
                subjects=self.subjects,
                spacing_mm=self.spacing_mm,
                workers=os.cpu_count() or 1,
            )
        frames = [
            frame
            for bundle, overlays, cells in self._stages()
            for frame in self._scores(bundle, overlays, cells)
        ]
        results = G17Results(pd.concat(frames, ignore_index=True))
        results.write(self.output_dir)
        return results

    def _stages(self) -> Iterator[tuple[str, list[str], list[Cell]]]:
        """Bundle, configs over its ``train.json``, and runs: what needs no labels comes first."""
        weights = bundles_dir() / self.source / "models" / "model.pt"
        untuned = {"weights": str(weights)}
        yield "wmh_source", ["evaluate.json"], [self._cell({"kind": _HOME}, "baseline", untuned)]
        yield "wmh_ft", ["evaluate.json"], [self._cell({"kind": _DIRECT}, "followup", untuned)]
        unlabelled = {"source": self.source}
        yield "wmh_ft", ["adabn.json"], [self._cell({"kind": _ADABN}, "followup", unlabelled)]
        yield "wmh_ft", [], list(self._trainings())

    def _trainings(self) -> Iterator[Cell]:
        target = open_cohort(
            "wmh_followup",
            ["t1", "flair"],
            dataset_dir=self.cohort,
            manifest="simulated_wmh_followup",
            required=["training", "validation", "test"],
        )
        for seed in self.seeds:
            for cases in self.cases:
                epochs = _epochs(target.training(cases, seed), self.steps)
                shared = {"cases": cases, "seed": seed, "epochs": epochs, "source": self.source}
                shared |= {"val_interval": max(1, epochs // 6), "patience": None}
                for tuned in (0, *self.tuned):
                    kind = f"last:{tuned}" if tuned else SCRATCH
                    at = {"kind": kind.replace(":", ""), "cases": cases, "seed": seed}
                    yield self._cell(at, "followup", {**shared, "strategy": kind})

    def _cell(self, at: Mapping[str, Any], session: str, options: Mapping[str, Any]) -> Cell:
        data = {"dataset_dir": str(self.cohort), "manifest": f"simulated_wmh_{session}"}
        return Cell(at, {**data, **options})

    def _scores(
        self, bundle: str, overlays: Sequence[str], cells: Sequence[Cell]
    ) -> Iterator[pd.DataFrame]:
        """Dice of each test subject of each run, with the run's best validation Dice."""
        configs = [bundles_dir() / bundle / name for name in ("train.json", *overlays)]
        described = f"G17: {bundle}{' '.join(['', *overlays])}"
        for run in run_cells(configs, cells, output_dir=self.output_dir, description=described):
            if run.error is not None:
                raise InputError(run.cell.name, "run", "finish", got=run.error)
            table = read_csv(run.folder / "metrics.csv")
            kept = table.loc[table["region"] == "lesion", ["subject", "dice"]]
            yield kept.assign(
                **{"cases": 0, "seed": 0, **run.cell.at}, validation=_validation(run.folder)
            )


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
        shown = [SCRATCH, *self._deepest_and_shallowest(), _ADABN, _DIRECT]
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
        """Mean ± SD over seeds for the terminal; the depth that validation chooses is bold."""
        mean, spread = self.depths("mean"), self.depths("std")
        table = Table(title="Dice on the target's test subjects, mean ± SD over seeds")
        table.add_column("cases")
        for tuned in mean.columns:
            table.add_column(f"last {tuned}" if tuned else SCRATCH)
        for cases in mean.index:
            best = self.chosen(cases)
            cells = (
                f"[bold]{mean.loc[cases, k]:.3f}[/] ± {spread.loc[cases, k]:.3f}"
                if k == best
                else f"{mean.loc[cases, k]:.3f} ± {spread.loc[cases, k]:.3f}"
                for k in mean.columns
            )
            table.add_row(str(cases), *cells)
        kinds = {_HOME: "source at home", _DIRECT: "source on target", _ADABN: "adabn, no labels"}
        listed = (f"{text} {self._mean(kind):.3f}" for kind, text in kinds.items())
        table.caption = ", ".join(listed)
        return table

    def verdicts(self) -> list[Verdict]:
        """The paper's claims, G17.1 to G17.4, held against these runs."""
        return [self._collapse(), self._two_cases(), self._depth_grows(), self._first_layers()]

    def _collapse(self) -> Verdict:
        home, target = (self._by_subject(kind).rename(kind) for kind in (_HOME, _DIRECT))
        both = pd.concat([home.groupby(_patient).mean() / 2, target.groupby(_patient).mean()], axis=1)
        gain = paired_difference(both, _HOME, than=_DIRECT)
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
        evidence = f"{cases} cases, last {tuned} (chosen on validation) minus scratch {gain}"
        return Verdict("G17.2", text, answer(gain), evidence)

    def _depth_grows(self) -> Verdict:
        few, many = int(self._sizes().min()), int(self._sizes().max())
        deepest, shallow = self._deepest_and_shallowest()
        gains = self._gain(few, shallow, than=deepest), self._gain(many, deepest, than=shallow)
        text = "few cases: tune only the last layers; more cases: tune deeper"
        evidence = (
            f"{few} cases, {shallow} minus {deepest} {gains[0]}; "
            f"{many} cases, {deepest} minus {shallow} {gains[1]}"
        )
        return Verdict("G17.3", text, answer(*gains), evidence)

    def _first_layers(self) -> Verdict:
        deepest, second = self._kinds()[-1], self._kinds()[-2]
        gains = {int(n): self._gain(int(n), second, than=deepest) for n in self._sizes()}
        spared = [Interval(g.mean + _MARGIN, g.low + _MARGIN, g.high, g.n) for g in gains.values()]
        listed = ", ".join(f"{cases} cases {gain}" for cases, gain in gains.items())
        evidence = f"{second} minus {deepest} (less than {_MARGIN} lost is none): {listed}"
        text = "tuning the first few convolutions rarely helps"
        return Verdict("G17.4", text, answer(*spared), evidence)

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


def _patient(subject: str) -> str:
    """A patient's name without the session, which both domains share.

    Example:
        >>> _patient("sub-wmh0001_ses-baseline")
        'sub-wmh0001'
    """
    return subject.partition("_ses-")[0]


def _epochs(entries: Sequence[Mapping[str, Any]], steps: int, *, batch_size: int = 128) -> int:
    """How many epochs of a training set make so many steps."""
    patches = sum(
        2 * math.ceil(0.25 * int((read_label(entry["label"])[0] > 0).sum())) for entry in entries
    )
    return max(1, round(steps * batch_size / max(1, patches)))


def _validation(folder: Path) -> float:
    """Validation Dice of the epoch that was kept; NaN for what was not trained."""
    history = folder / "history.csv"
    if not history.is_file():
        return math.nan
    frame = pd.read_csv(history)
    return float(frame.loc[frame["lesion_auc"].idxmax(), "dice_at_threshold"])


def announce(results: G17Results) -> None:
    """Print the table and the verdicts."""
    from monai_transfer.studies.claims import verdict_table

    console.print(results.table())
    console.print(verdict_table(results.verdicts()))
