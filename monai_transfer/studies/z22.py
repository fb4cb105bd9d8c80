"""Zoetmulder 2022's question: from which source task and domain should a model start?"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import pandas as pd

from monai_transfer._metaimage import load_image
from monai_transfer.bundle import bundles_dir, open_cohort
from monai_transfer.errors import InputError, choice
from monai_transfer.metrics import read_csv
from monai_transfer.simulation import simulate_cohort
from monai_transfer.simulation.visits import folder_of
from monai_transfer.studies.grid import Cell, Outcome, finished_cells
from monai_transfer.studies.z22_results import DETECTED, IMAGENET, SCORES, SCRATCH, Z22Results

BATCH: Final = 32
"""Slices of a step."""

MORE_PICTURES: Final = 4
"""Stacks of natural pictures for one brain: pictures are plentiful, and few are learnt by heart."""


@dataclass(frozen=True)
class SourceTask:
    """What a source is trained to do, and on what.

    Args:
        bundle: that trains it.
        cohort: that it is trained on.
        overlays: configs over the bundle's ``train.json``.
    """

    bundle: str
    cohort: str
    overlays: tuple[str, ...] = ()


_NATURAL: Final = ("natural.json",)

SOURCES: Final[Mapping[str, SourceTask]] = {
    "mri-segmentation": SourceTask("tissue_source", "tissue"),
    "mri-autoencoding": SourceTask("autoencoder_source", "tissue"),
    "mri-classification": SourceTask("structures_source", "structures"),
    "natural-segmentation": SourceTask("tissue_source", "natural", _NATURAL),
    "natural-autoencoding": SourceTask("autoencoder_source", "natural", _NATURAL),
    "natural-classification": SourceTask("structures_source", "natural", _NATURAL),
}
"""Source → its task. 'natural' are simulated textures and shapes, not photographs."""

TARGETS: Final[Mapping[str, str]] = {name: name for name in SCORES} | {"ms": "ms_t1"}
"""Target → its cohort; its bundle is ``<target>_ft``."""


@dataclass(frozen=True)
class Z22:
    """The study: its settings, and how to run it.

    Args:
        output_dir: gets the cohorts, a folder for each run, tables and pictures. What is finished
            there is not run again.
        subjects: simulated subjects of each cohort.
        spacing_mm: of the grid that the networks work on, and of the simulated scans.
        cases: sizes of the stroke training set; the other targets take all that there are.
        seeds: repeats, each with its own subset, initialisation and order.
        sources: of :data:`SOURCES`; training from scratch is always among the runs.
        steps: of 32 slices, of every training on a target: more cases are not also more training.
        source_steps: of every source.
        filters: width of the network's first stage; 64 is ResNet-50.
        imagenet: file of torchvision's ResNet-50 weights, a further source; needs 64 filters.

    Raises:
        InputError: an empty axis, an unknown source, or ImageNet's weights for another width.

    Source:
        Zoetmulder 2022, section 4. Equal steps for every size (there, equal epochs), the statistics
        and the simulated stand-in for natural images are ours.
    """

    output_dir: Path
    subjects: int = 24
    spacing_mm: float = 2.0
    cases: Sequence[int] = (4, 14)
    seeds: Sequence[int] = (0, 1, 2)
    sources: Sequence[str] = tuple(SOURCES)
    steps: int = 150
    source_steps: int = 400
    filters: int = 8
    imagenet: Path | None = None

    def __post_init__(self) -> None:
        for name in ("cases", "seeds", "sources"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError("study", name, "list distinct values", got=list(values))
        for source in self.sources:
            if source not in SOURCES:
                raise choice("study", "source", source, SOURCES)
        if self.imagenet is not None and self.filters != 64:
            rule = "be 64 with weights of ImageNet"
            raise InputError("study", "filters", rule, got=self.filters)

    def run(self) -> Z22Results:
        """Simulate, run what is not finished, judge, draw.

        Raises:
            InputError: a run failed, with its error.
        """
        for disease in sorted({folder_of(cohort)[0] for cohort in self._cohorts()}):
            simulate_cohort(
                disease,
                self.output_dir / disease,
                subjects=self.subjects * (MORE_PICTURES if disease == "natural" else 1),
                spacing_mm=self.spacing_mm,
                workers=os.cpu_count() or 1,
            )
        for name in self.sources:
            task = SOURCES[name]
            epochs = self._epochs(task.cohort, self.source_steps)
            cell = self._cell({"source": name}, task.cohort, {"epochs": epochs})
            self._run(task.bundle, task.overlays, [cell])
        runs = [
            run
            for target in TARGETS
            for run in self._run(f"{target}_ft", (), self._tunings(target))
        ]
        results = Z22Results(
            pd.concat([_subjects(run) for run in runs], ignore_index=True),
            pd.concat([_slices(run) for run in runs], ignore_index=True),
            pd.concat([_detection(run) for run in runs if run.cell.at["target"] in DETECTED]),
        )
        results.write(self.output_dir)
        return results

    def _cohorts(self) -> set[str]:
        return {*TARGETS.values(), *(SOURCES[name].cohort for name in self.sources)}

    def _run(self, bundle: str, overlays: Sequence[str], cells: Sequence[Cell]) -> list[Outcome]:
        configs = [bundles_dir() / bundle / name for name in ("train.json", *overlays)]
        described = f"Z22: {' '.join([bundle, *overlays])}"
        return list(
            finished_cells(configs, cells, output_dir=self.output_dir, description=described)
        )

    def _tunings(self, target: str) -> list[Cell]:
        """Every start of every size of a target's training set."""
        cohort = TARGETS[target]
        everything = len(self._training(cohort))
        cells = []
        for cases in self.cases if target == "stroke" else [everything]:
            epochs = self._epochs(cohort, self.steps, cases=cases)
            for seed in self.seeds:
                shared = {"cases": cases, "seed": seed, "epochs": epochs}
                shared |= {"val_interval": max(1, epochs // 5)}
                for name, start in self._starts().items():
                    at = {"target": target, "source": name, "cases": cases, "seed": seed}
                    cells.append(self._cell(at, cohort, {**shared, **start}))
        return cells

    def _starts(self) -> dict[str, dict[str, Any]]:
        """Source → the options that start from it."""
        starts: dict[str, dict[str, Any]] = {SCRATCH: {"source": None, "strategy": "scratch"}}
        for name in self.sources:
            weights = self.output_dir / Cell({"source": name}, {}).name / "model.pt"
            starts[name] = {"source": str(weights), "strategy": "encoder_latent"}
        if self.imagenet is not None:
            starts[IMAGENET] = {"source": str(self.imagenet), "strategy": "encoder"}
        return starts

    def _cell(self, at: Mapping[str, Any], cohort: str, options: Mapping[str, Any]) -> Cell:
        data = {
            "dataset_dir": str(self.output_dir / folder_of(cohort)[0]),
            "manifest": f"simulated_{cohort}",
            "spacing_mm": self.spacing_mm,
            "filters": self.filters,
        }
        return Cell(at, {**data, **options})

    def _training(self, cohort: str) -> Sequence[Mapping[str, Any]]:
        opened = open_cohort(
            cohort,
            ["t1"],
            dataset_dir=self.output_dir / folder_of(cohort)[0],
            manifest=f"simulated_{cohort}",
            required=["training", *["test"] * (cohort in TARGETS.values())],
        )
        return opened.training()

    def _epochs(self, cohort: str, steps: int, *, cases: int | None = None) -> int:
        """How many epochs of a training set make about so many steps."""
        entries = self._training(cohort)
        slices = _slices_of(entries[0]["image"]) * (cases or len(entries))
        return max(1, round(steps / math.ceil(slices / BATCH)))


def _slices_of(image: str | Sequence[str]) -> int:
    """Axial slices of a subject that hold anything, on its own grid."""
    path = image if isinstance(image, str) else image[0]
    voxels = np.asanyarray(nib.as_closest_canonical(load_image(path)).dataobj)
    return int((voxels != 0).any(axis=(0, 1)).sum())


def _subjects(run: Outcome) -> pd.DataFrame:
    """Dice and IoU of each test subject, means over regions."""
    table = read_csv(run.folder / "metrics.csv")
    means = table.groupby("subject", sort=False)[["dice", "iou"]].mean().reset_index()
    return means.assign(**run.cell.at)


def _slices(run: Outcome) -> pd.DataFrame:
    return pd.read_csv(run.folder / "slice_scores.csv", na_values="n/a").assign(**run.cell.at)


def _detection(run: Outcome) -> pd.DataFrame:
    return pd.read_csv(run.folder / "detection.csv", na_values="n/a").assign(**run.cell.at)
