"""Region scores beside MONAI's own metric classes, on one 240×240×155 tumour.

Run: python tests/benchmarks/bench_region_scores.py [--threads 1]
Both routes run in turn in one process, so their ratio holds on a busy machine; times do not.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from monai.metrics import ConfusionMatrixMetric, DiceMetric, HausdorffDistanceMetric, MeanIoU
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from monai_transfer.metrics.masks import DEFAULT_METRICS
from monai_transfer.metrics.regions import region_masks, score_regions

SHAPE = (240, 240, 155)
SPACING_MM = (1.0, 1.0, 1.0)
WITHOUT_DISTANCE = [metric for metric in DEFAULT_METRICS if metric != "hd95_mm"]


def ball(centre: tuple[int, int, int], radius: float) -> NDArray[np.bool_]:
    """Voxels within a radius."""
    grid = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) < radius**2


def tumour(centre: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Necrosis (1) in an enhancing rim (4) in oedema (2): 110 mL, as BraTS lays it out."""
    labels = np.zeros(SHAPE, np.uint8)
    for value, radius in ((2, 30), (4, 18), (1, 14)):
        labels[ball(centre, radius)] = value
    return labels


def scattered(seed: int) -> NDArray[np.uint8]:
    """85 small lesions over the whole brain, the worst case for a bounding box."""
    labels = np.zeros(SHAPE, np.uint8)
    rng = np.random.default_rng(seed)
    for centre in rng.integers((60, 50, 40), (180, 190, 115), (85, 3)):
        labels[ball(tuple(centre), rng.uniform(1, 5))] = 1
    return labels


def naive(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], regions: str) -> None:
    """What a config of four metric handlers computes."""
    masks = [torch.from_numpy(region_masks(m, regions))[None].float() for m in (prediction, truth)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        DiceMetric()(*masks)
        MeanIoU()(*masks)
        ConfusionMatrixMetric(metric_name=("sensitivity", "precision"))(*masks)
        HausdorffDistanceMetric(percentile=95, include_background=True)(*masks, spacing=SPACING_MM)


def seconds(routes: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Best time of each route, taken in turn after one warm-up."""
    best = dict.fromkeys(routes, np.inf)
    for repeat in range(repeats + 1):
        for name, route in routes.items():
            start = time.perf_counter()
            route()
            best[name] = min(best[name], time.perf_counter() - start) if repeat else np.inf
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = Table("case", "route", "ms", "of naive", title=f"{options.threads} thread(s)")
    for case, regions, prediction, truth in (
        ("tumour, 3 regions", "brats", tumour((93, 128, 81)), tumour((90, 130, 80))),
        ("85 lesions, 1 region", "ms", scattered(0) | scattered(1), scattered(0)),
    ):
        best = seconds(
            {
                "naive MONAI": lambda p=prediction, t=truth, r=regions: naive(p, t, r),
                "score_regions": lambda p=prediction, t=truth, r=regions: score_regions(
                    p, t, r, spacing_mm=SPACING_MM
                ),
                "score_regions without HD95": lambda p=prediction, t=truth, r=regions: (
                    score_regions(p, t, r, spacing_mm=SPACING_MM, metrics=WITHOUT_DISTANCE)
                ),
            },
            options.repeats,
        )
        for route, duration in best.items():
            ratio = f"{duration / best['naive MONAI']:.3f}"
            table.add_row(case, route, f"{1e3 * duration:.1f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
