"""Ghafoorian 2017's two questions: how many scans of the new protocol, and how many layers?"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from monai_transfer.bundle import bundles_dir, open_cohort
from monai_transfer.errors import InputError
from monai_transfer.metrics import read_csv
from monai_transfer.simulation import simulate_cohort
from monai_transfer.studies.g17_results import ADABN, DIRECT, HOME, SCRATCH, G17Results
from monai_transfer.studies.grid import Cell, finished_cells
from monai_transfer.training.segmentation import read_label

LAYERS: Final = 15


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
        source_epochs: of the source, which is trained on the baseline scans.
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
    source_epochs: int = 12
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
        """Bundle, configs over its ``train.json``, and runs: the source, then its uses."""
        home = self._cell({"kind": HOME}, "baseline", {"epochs": self.source_epochs})
        yield "wmh_source", [], [home]
        source = str(self.output_dir / home.name / "model.pt")
        direct = self._cell({"kind": DIRECT}, "followup", {"weights": source})
        yield "wmh_ft", ["evaluate.json"], [direct]
        unlabelled = self._cell({"kind": ADABN}, "followup", {"source": source})
        yield "wmh_ft", ["adabn.json"], [unlabelled]
        yield "wmh_ft", [], list(self._trainings(source))

    def _trainings(self, source: str) -> Iterator[Cell]:
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
                shared = {"cases": cases, "seed": seed, "epochs": epochs, "source": source}
                shared |= {"val_interval": math.ceil(epochs / 3), "patience": None}
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
        runs = finished_cells(configs, cells, output_dir=self.output_dir, description=described)
        for run in runs:
            table = read_csv(run.folder / "metrics.csv")
            kept = table.loc[table["region"] == "lesion", ["subject", "dice"]]
            yield kept.assign(
                **{"cases": 0, "seed": 0, **run.cell.at}, validation=_validation(run.folder)
            )


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
