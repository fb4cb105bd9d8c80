"""Hyper-parameters by cross-validation inside the training set: Kaur 2019, section 3.3."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.bundle import open_cohort
from monai_transfer.errors import InputError
from monai_transfer.studies.commands import bundle_command
from monai_transfer.studies.folds import write_folds
from monai_transfer.studies.grid import Cell, Outcome, run_cells
from monai_transfer.studies.requests import bundle_configs, check_request, merged
from monai_transfer.training import console
from monai_transfer.training.pictures import heatmap

TABLE: Final = "tuning.csv"
PICTURE: Final = "tuning.png"


@dataclass(frozen=True)
class TuningPlan:
    """A cross-validation that is ready to run: see :func:`plan_tuning`.

    Args:
        configs: config files of the bundle.
        metric: its key metric.
        axes: options that vary.
        cells: a run for each setting and fold.
        options: of the training that follows, without the axes.
        output_dir: of the whole.
    """

    configs: Sequence[Path]
    metric: str
    axes: Sequence[str]
    cells: Sequence[Cell]
    options: Mapping[str, Any]
    output_dir: Path

    def commands(self) -> list[list[str]]:
        """The command of each run, as `run` starts it."""
        return [cell.command(self.configs, self.output_dir) for cell in self.cells]

    def run(self) -> "Tuning":
        """Run what is not finished, write the table and the picture, choose the best setting.

        Raises:
            InputError: the output folder holds another grid's runs; or every setting failed on some
                fold, with the first error.
        """
        rows = []
        runs = pd.DataFrame()
        for outcome in run_cells(
            self.configs, self.cells, output_dir=self.output_dir, description="tuning"
        ):
            rows.append(_row(outcome, self.metric))
            runs = pd.DataFrame(rows)
            with written_aside(self.output_dir / TABLE) as aside:
                runs.to_csv(aside, index=False, na_rep="n/a")
            score = outcome.error or f"{self.metric} {rows[-1][self.metric]:.4f}"
            console.print(f"{outcome.cell.name}: {score}", highlight=False, markup=False)
        settings = _means(runs, list(self.axes), self.metric)
        if settings["mean"].isna().all():
            got = next(row["error"] for row in rows if row["error"])
            raise InputError("tune", "at least one setting", "finish on every fold", got=got)
        best = settings.loc[settings["mean"].idxmax(), list(self.axes)].to_dict()
        _draw(settings, best, self.output_dir / PICTURE, self.metric)
        command = bundle_command(self.configs, {**self.options, **best})
        return Tuning(self.metric, runs, settings, best, command)


@dataclass(frozen=True)
class Tuning:
    """What a cross-validation found.

    Args:
        metric: the score: the bundle's key metric on the held-out fold, at its best epoch.
        runs: a row for each setting and fold: the axes, ``fold``, the metric, ``epoch``, the
            validation's other metrics at that epoch, ``error``.
        settings: a row for each setting: the axes, ``mean`` and ``sd`` over folds, number of
            ``failed`` folds. A setting of which a fold failed has no mean.
        best: axis → value of the highest mean, the first of equal ones.
        command: the training to run next, on all training cases with the best setting.
    """

    metric: str
    runs: pd.DataFrame
    settings: pd.DataFrame
    best: Mapping[str, Any]
    command: Sequence[str]

    def table(self) -> Table:
        """Mean ± SD of each setting, for the terminal; the best is bold."""
        folds = self.runs["fold"].nunique()
        table = Table(title=f"{self.metric} on the held-out fold, mean ± SD over {folds} folds")
        for heading in (*self.best, self.metric):
            table.add_column(heading)
        for row in self.settings.to_dict("records"):
            at = {axis: row[axis] for axis in self.best}
            score = f"{row['mean']:.4f} ± {row['sd']:.4f}"
            if row["failed"]:
                score = f"n/a: {row['failed']} of {folds} folds failed"
            style = "bold" if at == self.best else None
            table.add_row(*map(str, at.values()), score, style=style)
        return table


def plan_tuning(
    bundle: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    grid: Mapping[str, Sequence[Any]],
    folds: int = 4,
    options: Mapping[str, Any] | None = None,
    overlays: Sequence[str] = (),
) -> TuningPlan:
    """Write the folds of a bundle's training cases, and plan a run for each setting and fold.

    Validation and test subjects are in none of them. A run is the bundle's own command with a
    datalist whose training is the other folds and whose validation is the held-out one; its score
    is the key metric there at its best epoch. A training chooses its epoch likewise: settings are
    compared as they will be used, and the score itself is optimistic.

    Args:
        bundle: folder, or the name of one of ours.
        output_dir: gets ``folds/``, a run's folder for each cell, ``tuning.csv``, ``tuning.png``.
            What is finished there is not run again.
        grid: option of the bundle → its values; the first axis varies slowest.
        folds: how many, by patient, each with the groups of the whole.
        options: of the bundle, for every run: data, ``cases``, ``seed``, ``epochs`` …
        overlays: config files of the bundle laid over ``train.json``, such as ``paper.json``.

    Returns:
        The plan; nothing has been trained.

    Raises:
        InputError: an unknown option, a value that cannot work, any fault the gate finds, more
            cases than there are, or more folds than patients.

    Source:
        Kaur 2019, section 3.3: four folds on each training set, HGG:LGG kept, then a training on
        the whole set. Which parameters are tuned, and by what score, is in its supplement, which we
        do not have: learning rate, decay of the class weights and the key metric are ours.

    Example:
        Sixteen trainings, then the best of the four settings::

            grid = {"learning_rate": [0.01, 0.003], "class_weight_decay": [0.5, 0.8]}
            plan_tuning("brats_ft", "runs/tuning", grid=grid, options={"cases": 20}).run().best
    """
    given, folder = dict(options or {}), Path(output_dir)
    configs = bundle_configs(bundle, overlays)
    config = merged(configs)
    check_request(config, grid, given)
    (metric,) = config["validate"]["key_metric"]
    asked = {**config, **given}
    asked = {name: None if value == "$None" else value for name, value in asked.items()}
    # a bundle that works on each image's own grid has no spacing
    data = {n: asked.get(n) for n in ("dataset_dir", "datalist", "manifest", "spacing_mm")}
    cases, seed = asked["cases"], asked["seed"]
    disease, modalities = config["cohort"]["disease"], asked["modalities"]
    cohort = open_cohort(disease, modalities, **data, required=["training"])
    lists = write_folds(cohort, folder / "folds", folds=folds, cases=cases, seed=seed)
    shared = {k: v for k, v in given.items() if k not in ("datalist", "manifest")}
    shared |= {"dataset_dir": str(cohort.folder), "cases": None}
    cells = [
        Cell({**setting, "fold": fold}, {**shared, **setting, "datalist": path})
        for setting in (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))
        for fold, path in enumerate(lists, start=1)
    ]
    return TuningPlan(configs, metric, list(grid), cells, given, folder)


def _row(outcome: Outcome, metric: str) -> dict[str, Any]:
    """Scores of one run at its best epoch."""
    row: dict[str, Any] = {**outcome.cell.at, metric: float("nan"), "error": outcome.error or ""}
    if outcome.error is None:
        history = pd.read_csv(outcome.folder / "history.csv")
        row |= history.loc[history[metric].idxmax()].to_dict()
        row["epoch"] = int(row["epoch"])
    return row


def _means(runs: pd.DataFrame, axes: list[str], metric: str) -> pd.DataFrame:
    grouped = runs.groupby(axes, sort=False)
    means = grouped[metric].agg(mean=lambda scores: scores.mean(skipna=False), sd="std")
    means["failed"] = grouped["error"].agg(lambda errors: int((errors != "").sum()))
    return means.reset_index()


def _draw(settings: pd.DataFrame, best: Mapping[str, Any], path: Path, metric: str) -> None:
    """The heatmap of a grid of one axis or two; a grid of more axes has none."""
    if len(best) > 2:
        return
    rows, columns = list(best) if len(best) == 2 else ("", *best)
    shown = settings if rows else settings.assign(**{rows: ""})
    order = shown[rows].unique(), shown[columns].unique()
    mean, sd = (
        shown.pivot(index=rows, columns=columns, values=value).loc[order]
        for value in ("mean", "sd")
    )
    at = best.get(rows, ""), best[columns]
    heatmap(mean, path, score=metric, spread=sd, best=at, title="mean ± SD over folds")
