"""Slices per second of SliceDataset beside MONAI's usual ways, and a copy of the same bytes.

Volumes of 128×128×64 voxels and their labels are in memory before the clock starts, as a
``CacheDataset`` holds them. Every route gives all slices in batches of 32, in a random order where
it can. One thread; routes run in turn; best of some repeats, by CPU time.

Then seconds to score one subject of 240×240×155 voxels by slice and lesion by lesion, as a test
with ``slices`` and ``detection`` does, beside MONAI's metrics and the loop over lesions of
``bench_lesions.py``.

    python tests/benchmarks/bench_slices.py [--repeats 3] [--subjects 20]
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from bench_lesions import by_voxel, loop
from bench_region_scores import SPACING_MM, naive, scattered, seconds
from monai.data import CacheDataset, DataLoader, GridPatchDataset, PatchIterd, set_track_meta
from monai.transforms import SplitDimd
from rich.console import Console
from rich.table import Table

from monai_transfer.training import EpochBatches
from monai_transfer.training.more_scores import DetectionScores, SliceScores
from monai_transfer.transforms import ContiguousSlicesd, SliceDataset

SHAPE, BATCH = (128, 128, 64), 32
KEYS = ["image", "label"]
Subjects = list[dict[str, torch.Tensor]]
Route = Callable[[int], Iterable[Any]]
"""From the repeat to batches."""


def volumes(count: int) -> Subjects:
    """Noise, and labels of four values."""
    rng = torch.Generator().manual_seed(0)
    return [
        {
            "image": torch.rand((1, *SHAPE), generator=rng) + 0.1,
            "label": torch.randint(4, (1, *SHAPE), generator=rng, dtype=torch.uint8),
        }
        for _ in range(count)
    ]


def copies(subjects: Subjects) -> Route:
    """From memory to memory: a batch of slices that lie one after the other."""
    image = torch.cat([one["image"].movedim(-1, 0) for one in subjects]).contiguous()
    label = torch.cat([one["label"].movedim(-1, 0) for one in subjects]).contiguous()

    def batches(_repeat: int) -> Iterable[Any]:
        for start in range(0, len(image), BATCH):
            part = slice(start, start + BATCH)
            yield {"image": image[part].clone(), "label": label[part].clone()}

    return batches


def our_routes(subjects: Subjects) -> dict[str, Route]:
    """Slices contiguous in the cache, as the preset z22 lays them, or as other presets do."""

    def route(cached: Any) -> Route:
        dataset = SliceDataset(cached)
        sampler = EpochBatches(dataset, BATCH)
        loader = DataLoader(
            dataset, batch_size=None, sampler=sampler, collate_fn=dataset.collate, num_workers=0
        )

        def batches(repeat: int) -> Iterable[Any]:
            sampler.set_epoch(repeat)
            return loader

        return batches

    contiguous = CacheDataset(
        subjects, ContiguousSlicesd(KEYS), as_contiguous=False, progress=False
    )
    return {
        "SliceDataset, slices contiguous in the cache": route(contiguous),
        "SliceDataset, volumes as other presets leave them": route(subjects),
    }


def monai_routes(subjects: Subjects) -> dict[str, Route]:
    """A cache of 2D slices item by item; slices of whole volumes, one volume after the other."""
    split = SplitDimd(KEYS, dim=3, keepdim=False, list_output=True)
    slices = [
        {key: one[key].contiguous() for key in KEYS} for each in subjects for one in split(each)
    ]
    cached = CacheDataset(slices, lambda item: item, copy_cache=False, progress=False)
    shuffled = DataLoader(cached, batch_size=BATCH, shuffle=True)
    whole_slices = PatchIterd(KEYS, patch_size=(*SHAPE[:2], 1))
    grid = GridPatchDataset(subjects, whole_slices, with_coordinates=False)
    in_order = DataLoader(grid, batch_size=BATCH)
    return {
        "MONAI CacheDataset of 2D slices, DataLoader": lambda _repeat: shuffled,
        "MONAI GridPatchDataset, not shuffled": lambda _repeat: in_order,
    }


def rates(routes: dict[str, Route], repeats: int) -> dict[str, float]:
    """Slices per CPU second of each route, the best of those taken in turn after a warm-up."""
    best = dict.fromkeys(routes, 0.0)
    for repeat in range(repeats + 1):
        for name, route in routes.items():
            slices, start = 0, time.process_time()
            for batch in route(repeat):
                if tuple(batch["image"].shape[2:4]) != SHAPE[:2]:
                    raise RuntimeError(f"{name}: {tuple(batch['image'].shape)}")
                slices += len(batch["image"])
            rate = slices / (time.process_time() - start)
            best[name] = max(best[name], rate if repeat else 0.0)
    return best


def scoring(repeats: int) -> dict[str, float]:
    """Seconds to score a subject by each route."""
    truth = scattered(0)
    prediction = np.roll(truth, 2, axis=0) | scattered(1)
    regions = {"lesion": [1]}

    def collect(kind: Any) -> None:
        scores = kind(regions)
        scores.add(prediction, truth, spacing_mm=SPACING_MM, subject="a")
        scores.frame()

    def all_of_ours() -> None:
        collect(SliceScores)
        collect(DetectionScores)

    return seconds(
        {
            "by slice: slice_scores.csv": lambda: collect(SliceScores),
            "lesions, two connectivities, six pairs of cut-offs": lambda: collect(DetectionScores),
            "both": all_of_ours,
            "MONAI Dice, sensitivity, precision": lambda: by_voxel(prediction, truth),
            "MONAI, IoU and HD95 too": lambda: naive(prediction, truth, "ms"),
            "loop over lesions, 3D, one pair of cut-offs": lambda: loop(prediction, truth),
        },
        repeats,
    )


def main() -> None:
    """Time both, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--subjects", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_track_meta(False)
    warnings.simplefilter("ignore")
    subjects = volumes(options.subjects)
    routes = our_routes(subjects) | monai_routes(subjects) | {"(a copy)": copies(subjects)}
    found = rates(routes, options.repeats)
    first = next(iter(found.values()))
    table = Table("", "slices per CPU s", "ratio", title="128×128 slices and labels, batches of 32")
    for name, rate in found.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / first:.3f}")
    Console(width=100).print(table)
    table = Table("", "ms", title="scoring a subject of 240×240×155 with lesions, one thread")
    for name, duration in scoring(options.repeats).items():
        table.add_row(name, f"{1e3 * duration:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
