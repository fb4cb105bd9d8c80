"""All lesion metrics of one 240×240×155 subject, beside a loop over lesions and MONAI's metrics.

Run: python tests/benchmarks/bench_lesions.py [--repeats 3]
All routes run in turn in one process on one thread, so their ratios hold on a busy machine; times
do not.
"""

import argparse

import numpy as np
import torch
from bench_region_scores import SPACING_MM, naive, scattered, seconds
from monai.metrics import ConfusionMatrixMetric, DiceMetric
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from monai_transfer.metrics import detection_curve, lesion_overlaps, score_regions

LESION_METRICS = ("lesion_recall", "lesion_precision", "lesion_f1")
TOUCHING = np.ones((3, 3, 3))


def loop(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> list[float]:
    """Recall, precision and F1 as they are usually written: one mask for each lesion."""
    ratios = []
    for mask, other in ((truth, prediction), (prediction, truth)):
        numbered, count = ndimage.label(mask, TOUCHING)
        masks = (numbered == number for number in range(1, count + 1))
        counted = [lesion for lesion in masks if lesion.sum() >= 3]
        ratios.append(sum(bool(other[lesion].any()) for lesion in counted) / len(counted))
    recall, precision = ratios
    return [recall, precision, 2 * recall * precision / (recall + precision)]


def by_voxel(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    """Dice, sensitivity and precision by MONAI's metrics."""
    masks = [torch.from_numpy(m)[None, None].float() for m in (prediction, truth)]
    DiceMetric()(*masks)
    ConfusionMatrixMetric(metric_name=("sensitivity", "precision"))(*masks)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    truth = scattered(0)
    prediction = np.roll(truth, 2, axis=0) | scattered(1)

    def ours() -> list[float]:
        scores = score_regions(
            prediction, truth, "ms", spacing_mm=SPACING_MM, metrics=LESION_METRICS
        )
        return list(scores.values())

    def curve() -> None:
        detection_curve({"a": lesion_overlaps(prediction, truth, spacing_mm=SPACING_MM)})

    np.testing.assert_allclose(ours(), loop(prediction, truth))
    best = seconds(
        {
            "loop over lesions": lambda: loop(prediction, truth),
            "MONAI Dice, sensitivity, precision": lambda: by_voxel(prediction, truth),
            "MONAI, IoU and HD95 too": lambda: naive(prediction, truth, "ms"),
            "score_regions, lesion metrics": ours,
            "detection_curve, 6 pairs of cut-offs": curve,
        },
        options.repeats,
    )
    lesions = [ndimage.label(mask, TOUCHING)[1] for mask in (truth, prediction)]
    title = f"{lesions[0]} true and {lesions[1]} predicted lesions, one thread"
    table = Table("route", "ms", "of the loop", title=title)
    for route, duration in best.items():
        ratio = f"{duration / best['loop over lesions']:.4f}"
        table.add_row(route, f"{1e3 * duration:.1f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
