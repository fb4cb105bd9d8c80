"""Giacomello 2020's question: can a model of one MR modality become one of another?"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from monai_transfer.bundle import bundles_dir
from monai_transfer.data import build_datalist, manifest_path, read_manifest, write_datalist
from monai_transfer.errors import InputError, choice
from monai_transfer.metrics import read_csv
from monai_transfer.simulation import simulate_cohort
from monai_transfer.studies.gl20_claims import ALL, BASE, FROM, FULL, MODALITIES, SEG, UNTUNED
from monai_transfer.studies.gl20_results import SCORES, GL20Results
from monai_transfer.studies.grid import Cell, Outcome, finished_cells

COHORT: Final = "brats2015"
VALIDATION: Final = 0.1
TEST: Final = 0.3
"""Shares of the patients. The paper tests on a tenth of 274; a tenth of these would be too few."""

MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "segan": {"critic": "masked", "dice_term": True},
    "segan-io": {"critic": "concatenated", "dice_term": True},
    "segan-no-dice": {"critic": "masked", "dice_term": False},
    "segan-io-no-dice": {"critic": "concatenated", "dice_term": False},
}
"""Model of all four modalities → its options."""

STRATEGIES: Final[Mapping[str, str]] = {FULL: "continue", SEG: "segmentor"}
"""What is tuned of a model that is transferred → the strategy's name here."""


@dataclass(frozen=True)
class GL20:
    """The study: its settings, and how to run it.

    Args:
        output_dir: gets the cohort, a folder for each run, tables and pictures. What is finished
            there is not run again, and neither is a training that collapsed: that is a result.
        subjects: simulated patients.
        spacing_mm: of the grid that the networks work on, and of the simulated scans.
        cases: of the training set; ``None`` takes all.
        seeds: repeats, each with its own initialisation and order; in one, every model starts from
            the same initialisation.
        models: of :data:`MODELS`, trained on all four modalities.
        epochs: at most, of every training.
        patience: validations without a better one before the end of a training.
        filters: of the first convolution; 64 is the paper's.

    Raises:
        InputError: an empty axis, or an unknown model.

    Source:
        Giacomello 2020, sections IV and V. Repeats, the split of the patients, SegAN-IO without the
        Dice term, and the statistics are ours.
    """

    output_dir: Path
    subjects: int = 40
    spacing_mm: float = 2.0
    cases: int | None = None
    seeds: Sequence[int] = (0, 1, 2)
    models: Sequence[str] = tuple(MODELS)
    epochs: int = 30
    patience: int = 10
    filters: int = 8

    def __post_init__(self) -> None:
        for name in ("seeds", "models"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError("study", name, "list distinct values", got=list(values))
        for model in self.models:
            if model not in MODELS:
                raise choice("study", "model", model, MODELS)

    def run(self) -> GL20Results:
        """Simulate, run what is not finished, judge, draw.

        Raises:
            InputError: a run failed, with its error; one that collapsed has not.
        """
        self._simulate()
        four = self._run("segan_source", (), self._of_all_modalities())
        bases = self._run("segan_source", (), self._bases())
        alive = [run for run in bases if not run.collapsed]
        untuned = self._run("segan_source", ("evaluate.json",), self._elsewhere(alive))
        tuned = self._run("segan_ft", (), self._transfers(alive))
        runs = [*four, *bases, *untuned, *tuned]
        scores = [_subjects(run) for run in runs if not run.collapsed]
        if not scores:
            raise InputError("study", "at least one training", "come to its end", got="none")
        results = GL20Results(
            pd.concat(scores, ignore_index=True), pd.DataFrame([_course(run) for run in runs])
        )
        results.write(self.output_dir)
        return results

    def _simulate(self) -> None:
        folder = self.output_dir / COHORT
        simulate_cohort(
            COHORT,
            folder,
            subjects=self.subjects,
            spacing_mm=self.spacing_mm,
            workers=os.cpu_count() or 1,
        )
        described = read_manifest(manifest_path(f"simulated_{COHORT}"))
        datalist = build_datalist(described, folder, validation=VALIDATION, test=TEST)
        write_datalist(datalist, self.output_dir / "datalist.json")

    def _run(self, bundle: str, overlays: Sequence[str], cells: Sequence[Cell]) -> list[Outcome]:
        configs = [bundles_dir() / bundle / name for name in ("train.json", *overlays)]
        described = f"GL20: {' '.join([bundle, *overlays])}"
        return list(
            finished_cells(
                configs,
                cells,
                output_dir=self.output_dir,
                description=described,
                may_collapse=True,
            )
        )

    def _of_all_modalities(self) -> list[Cell]:
        return [
            self._training(
                {"kind": model, "modality": ALL, "seed": seed},
                {"modalities": list(MODALITIES), **MODELS[model]},
            )
            for seed in self.seeds
            for model in self.models
        ]

    def _bases(self) -> list[Cell]:
        return [
            self._training(
                {"kind": BASE, "modality": name, "seed": seed},
                {"modalities": [name], **MODELS["segan-io"]},
            )
            for seed in self.seeds
            for name in MODALITIES
        ]

    def _elsewhere(self, bases: Sequence[Outcome]) -> list[Cell]:
        """Each base model, as it is, on every other modality."""
        cells = []
        for base, trained in _sources(bases):
            for name in MODALITIES:
                at = {"kind": UNTUNED, "source": trained, "modality": name, "seed": base["seed"]}
                options = {"modalities": [name], "critic": MODELS["segan-io"]["critic"]}
                given = {"weights": str(base["weights"]), "adaptation#strategy": "untuned"}
                if name != trained:
                    cells.append(self._cell(at, {**options, **given}))
        return cells

    def _transfers(self, bases: Sequence[Outcome]) -> list[Cell]:
        """The base model of one modality, tuned on each of the others."""
        cells = []
        for base, trained in _sources(bases):
            targets = [name for name in MODALITIES if name != trained]
            for name in targets if trained == FROM else []:
                for kind, strategy in STRATEGIES.items():
                    at = {"kind": kind, "source": FROM, "modality": name, "seed": base["seed"]}
                    given = {"source": str(base["weights"]), "strategy": strategy}
                    options = {"modality": name, "source_modality": FROM, **MODELS["segan-io"]}
                    cells.append(self._training(at, {**options, **given}))
        return cells

    def _training(self, at: Mapping[str, Any], options: Mapping[str, Any]) -> Cell:
        course = {"cases": self.cases, "epochs": self.epochs, "patience": self.patience}
        plain = {"domain_randomisation": 0.0}  # flips aside, as the paper
        return self._cell(at, {**course, **plain, "seed": at["seed"], **options})

    def _cell(self, at: Mapping[str, Any], options: Mapping[str, Any]) -> Cell:
        data = {
            "dataset_dir": str(self.output_dir / COHORT),
            "datalist": str(self.output_dir / "datalist.json"),
            "spacing_mm": self.spacing_mm,
            "filters": self.filters,
        }
        return Cell(at, {**data, **options})


def _sources(bases: Sequence[Outcome]) -> Iterator[tuple[dict[str, Any], str]]:
    """Seed and weights of each base model, and its modality."""
    for base in bases:
        at = base.cell.at
        yield {"seed": at["seed"], "weights": base.folder / "model.pt"}, str(at["modality"])


def _place(run: Outcome) -> dict[str, Any]:
    """What tells a run from the others; a base model's source is its own modality."""
    return {"source": run.cell.at["modality"], **run.cell.at}


def _subjects(run: Outcome) -> pd.DataFrame:
    """Scores of each test subject's volume."""
    table = read_csv(run.folder / "metrics.csv")
    means = table.groupby("subject", sort=False)[list(SCORES)].mean().reset_index()
    return means.assign(**_place(run))


def _course(run: Outcome) -> dict[str, Any]:
    """How a run went: its end, and of a training its validation."""
    course = {**_place(run), "collapsed": run.collapsed, "epochs": 0}
    course |= {"validation": math.nan, "unsteadiness": math.nan}
    history = run.folder / "history.csv"
    if history.is_file():
        frame = pd.read_csv(history)
        dice = frame["mean_dice"].dropna() if "mean_dice" in frame else pd.Series(dtype=float)
        course |= {"epochs": int(frame["epoch"].max()), "validation": dice.max()}
        course["unsteadiness"] = dice.diff().abs().mean()
    return course
