"""Kaur 2019 on a simulated cohort: cases × strategies × seeds, paired by test subject.

Each cell is the command a person would type; a cell that is finished is not run again.

    python tests/benchmarks/bench_k19_strategies.py OUTPUT [--subjects 60] [--cases 4 20]
        [--strategies scratch all decoder head] [--seeds 0 1 2] [--steps 240]

Every run takes about the same number of steps, so that more cases are not also more training, and
its class weights decay by the same factor over the run. Printed are Dice by region, mean ± SD over
seeds, and for each strategy the difference from scratch: per test subject, averaged over seeds,
with the 95 % interval of Student's t over subjects.
"""

import argparse
from pathlib import Path

import pandas as pd
from rich import print as show
from rich.table import Table
from scipy import stats

from monai_transfer.bundle import bundles_dir
from monai_transfer.metrics import read_csv
from monai_transfer.simulation import simulate_cohort
from monai_transfer.studies import Cell, run_cells
from monai_transfer.training.pictures import dice_by_region


def _cell(at: dict[str, str | int], cohort: Path, steps: int) -> Cell:
    epochs = max(1, round(steps / int(at["cases"])))
    settings = {
        "dataset_dir": cohort,
        "manifest": "simulated_brats",
        "epochs": epochs,
        "class_weight_decay": 0.5 ** (12 / epochs),
        "val_interval": max(1, epochs // 8),
        "domain_randomisation": 0.0,  # as published: none is named
    }
    return Cell(at, {**at, **settings})


def _means(frame: pd.DataFrame) -> Table:
    table = Table(title="Dice on the test subjects, mean ± SD over seeds")
    regions = list(frame["region"].unique())
    for heading in ("cases", "strategy", *regions):
        table.add_column(heading)
    runs = frame.groupby(["cases", "strategy", "seed", "region"], sort=False)["dice"].mean()
    for (cases, strategy), group in runs.groupby(["cases", "strategy"], sort=False):
        cells = (group.xs(region, level="region") for region in regions)
        shown = (f"{dice.mean():.3f} ± {dice.std():.3f}" for dice in cells)
        table.add_row(str(cases), str(strategy), *shown)
    return table


def _differences(frame: pd.DataFrame) -> Table:
    table = Table(title="Dice minus scratch, paired by test subject, mean [95 % interval]")
    regions = list(frame["region"].unique())
    for heading in ("cases", "strategy", *regions):
        table.add_column(heading)
    keys = ["cases", "strategy", "region", "subject"]
    dice = frame.groupby(keys, sort=False)["dice"].mean().unstack("strategy")
    for cases in frame["cases"].unique():
        for strategy in dice.columns.drop("scratch"):
            cells = []
            for region in regions:
                paired = dice.loc[cases, region]
                gain = (paired[strategy] - paired["scratch"]).dropna()
                low, high = stats.t.interval(0.95, len(gain) - 1, gain.mean(), stats.sem(gain))
                cells.append(f"{gain.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
            table.add_row(str(cases), strategy, *cells)
    return table


def main() -> None:
    """Run the grid, print the tables, draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--subjects", type=int, default=60)
    parser.add_argument("--cases", type=int, nargs="+", default=[4, 20])
    parser.add_argument("--strategies", nargs="+", default=["scratch", "all", "decoder", "head"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=240)
    given = parser.parse_args()
    cohort = simulate_cohort(
        "brats", given.output / "cohort", subjects=given.subjects, spacing_mm=2.0, workers=2
    )
    cells = [
        _cell({"cases": cases, "strategy": strategy, "seed": seed}, cohort, given.steps)
        for seed in given.seeds
        for cases in given.cases
        for strategy in given.strategies
    ]
    frames = []
    configs = [bundles_dir() / "brats_ft" / "train.json"]
    for run in run_cells(configs, cells, output_dir=given.output, description="K19 on simulation"):
        if run.error is not None:
            raise SystemExit(f"{run.cell.name}: {run.error}")
        frames.append(read_csv(run.folder / "metrics.csv").assign(**run.cell.at))
    frame = pd.concat(frames)
    show(_means(frame), _differences(frame))
    runs = frame.groupby(["cases", "strategy", "seed", "region"], sort=False)["dice"].mean()
    show(dice_by_region(runs.reset_index(), given.output / "dice_by_region.png"))


if __name__ == "__main__":
    main()
