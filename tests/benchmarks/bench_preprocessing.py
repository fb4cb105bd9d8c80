"""Seconds to prepare one subject: the K19 preset beside MONAI's LoadImaged alone.

The subject is simulated on BraTS's 240×240×155 grid at 1 mm, as four .nii.gz files and a label. A
first table compares whole chains, run in turn so that their ratio holds on a busy machine (times do
not); a second says where the preset's time goes.

    python tests/benchmarks/bench_preprocessing.py [--spacing-mm 1] [--repeats 3] [--threads 1]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.transforms import LoadImaged
from rich.console import Console
from rich.table import Table

from monai_transfer.data import build_datalist, manifest_path, read_manifest
from monai_transfer.simulation import simulate_cohort
from monai_transfer.training import to_original_grid
from monai_transfer.transforms import k19

LABEL_VALUES = [0, 1, 2, 4]


def simulated_entry(folder: Path) -> dict[str, Any]:
    """A subject's files, four images and the label, by absolute path."""
    simulate_cohort("brats", folder, subjects=1)
    manifest = read_manifest(manifest_path("simulated_brats"))
    datalist = build_datalist(manifest, folder, validation=0, test=0)
    (entry,) = datalist["training"]
    images = [str(folder / image) for image in entry["image"]]
    return {"image": images, "label": str(folder / entry["label"]), "subject": "simulated"}


def best_seconds(routes: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Best time of each route, taken in turn after one warm-up."""
    best = dict.fromkeys(routes, float("inf"))
    for repeat in range(repeats + 1):
        for name, route in routes.items():
            start = time.perf_counter()
            route()
            if repeat:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def step_seconds(entry: dict[str, Any], spacing_mm: float) -> dict[str, float]:
    """Seconds of each step of the preset, and of the way back from logits."""
    preset = k19(spacing_mm=spacing_mm, label_values=LABEL_VALUES)
    data: Any = entry
    seconds = {}
    for step in preset.transforms:
        start = time.perf_counter()
        data = step(data)
        seconds[type(step).__name__] = time.perf_counter() - start
    data["pred"] = data["image"]  # four channels, as there are four classes
    start = time.perf_counter()
    to_original_grid(preset, LABEL_VALUES, output_dir=None)(data)
    seconds["(back to the original grid)"] = time.perf_counter() - start
    return seconds


def show(title: str, seconds: dict[str, float]) -> None:
    """Print a table; ratios are to the first row."""
    table = Table(title=title)
    for heading in ("", "ms", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        table.add_row(name, f"{1000 * value:.0f}", f"{value / first:.2f}")
    Console().print(table)


def main() -> None:
    """Simulate, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing-mm", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        entry = simulated_entry(Path(folder))
        plain = LoadImaged(["image", "label"], image_only=True, ensure_channel_first=True)
        preset = k19(spacing_mm=options.spacing_mm, label_values=LABEL_VALUES)
        routes = {"LoadImaged": lambda: plain(entry), "k19": lambda: preset(entry)}
        title = f"one subject, to {options.spacing_mm:g} mm, {options.threads} thread(s)"
        show(title, best_seconds(routes, options.repeats))
        show("step by step", step_seconds(entry, options.spacing_mm))


if __name__ == "__main__":
    main()
