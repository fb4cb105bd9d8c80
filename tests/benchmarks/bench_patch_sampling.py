"""Patches per CPU second beside MONAI's and TorchIO's samplers, and a copy of the same bytes.

Twenty simulated brains of 145×150×24 voxels and two modalities, with 12 000 lesion voxels each, are
in memory before the clock starts. Every route gives batches of 128 in-plane patches 32×32, half of
them centred on a lesion, the others on healthy brain. Ours are flipped too, and their time is that
of a whole epoch, its draw included. One thread; routes run in turn; best of some repeats.

    pip install --target FOLDER --no-deps torchio SimpleITK humanize deprecated wrapt einops
    PYTHONPATH=FOLDER python tests/benchmarks/bench_patch_sampling.py [--repeats 3]

Without TorchIO its row is left out.
"""

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterable

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, set_track_meta
from monai.transforms import Compose, FgBgToIndicesd, RandCropByPosNegLabeld
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from monai_transfer.training import EpochBatches, EpochSampler
from monai_transfer.transforms import PatchDataset

SUBJECTS, SHAPE, CHANNELS, LESION_VOXELS = 20, (145, 150, 24), 2, 12_000
BATCH, SIZE = 128, 32
Subjects = list[dict[str, torch.Tensor]]
Route = Callable[[int], Iterable[torch.Tensor]]
"""From the repeat to batches of images."""


def simulated(number: int) -> dict[str, torch.Tensor]:
    """An ellipsoid of noise, its lesions where smooth noise is highest."""
    rng = np.random.default_rng(number)
    x, y, z = (np.linspace(-1.25, 1.25, n) for n in SHAPE)
    brain = x[:, None, None] ** 2 + y[:, None] ** 2 + z**2 < 1
    field = np.where(brain, ndimage.gaussian_filter(rng.random(SHAPE), (3, 3, 1)), 0)
    lesion = field > np.partition(field.ravel(), -LESION_VOXELS - 1)[-LESION_VOXELS - 1]
    image = rng.uniform(0.1, 1, (CHANNELS, *SHAPE)).astype(np.float32) * brain
    return {"image": torch.from_numpy(image), "label": torch.from_numpy(lesion[None].astype("u1"))}


def copies() -> Route:
    """From memory to memory, more of it than a cache holds."""
    source = torch.rand(200, BATCH, CHANNELS, SIZE, SIZE)
    return lambda _repeat: (batch.clone() for batch in source)


def our_routes(subjects: Subjects) -> dict[str, Route]:
    """The whole epoch, its batches asked for as arrays or item by item."""
    dataset = PatchDataset(subjects)
    whole, singly = EpochBatches(dataset, BATCH), EpochSampler(dataset)
    common = {"collate_fn": dataset.collate}
    loaders = {
        "PatchDataset, EpochBatches": DataLoader(dataset, batch_size=None, sampler=whole, **common),
        "PatchDataset, EpochSampler": DataLoader(
            dataset, batch_size=BATCH, sampler=singly, **common
        ),
    }

    def route(loader: DataLoader) -> Route:
        def batches(repeat: int) -> Iterable[torch.Tensor]:
            loader.sampler.set_epoch(repeat)
            return (batch["image"] for batch in loader)

        return batches

    return {name: route(loader) for name, loader in loaders.items()}


def monai_routes(subjects: Subjects) -> dict[str, Route]:
    """Voxel indices are cached; the volume is not copied, nor its metadata kept."""

    def route(samples: int) -> Route:
        names = {"fg_indices_key": "label_fg_indices", "bg_indices_key": "label_bg_indices"}
        chain = Compose(
            [
                FgBgToIndicesd("label", image_key="image"),
                RandCropByPosNegLabeld(
                    ["image", "label"], "label", (SIZE, SIZE, 1), num_samples=samples, **names
                ),
            ]
        )
        cached = CacheDataset(subjects, chain, copy_cache=False, progress=False)
        loader = DataLoader(cached, batch_size=BATCH // samples, shuffle=True)
        return lambda _repeat: (batch["image"][..., 0] for batch in loader)

    return {
        f"MONAI RandCropByPosNegLabeld, {samples} samples of a volume": route(samples)
        for samples in (16, BATCH)
    }


def torchio_routes(subjects: Subjects) -> dict[str, Route]:
    """A queue of patches; none of its classes is beyond the brain."""
    if importlib.util.find_spec("torchio") is None:
        return {}
    import torchio as tio

    classes = [one["label"].clone() + (one["image"][:1] > 0) for one in subjects]
    dataset = tio.SubjectsDataset(
        [
            tio.Subject(image=tio.ScalarImage(tensor=one["image"]), label=tio.LabelMap(tensor=c))
            for one, c in zip(subjects, classes, strict=True)
        ]
    )
    sampler = tio.LabelSampler((SIZE, SIZE, 1), "label", {0: 0, 1: 0.5, 2: 0.5})

    def batches(_repeat: int) -> Iterable[torch.Tensor]:
        queue = tio.Queue(dataset, SUBJECTS * BATCH, BATCH, sampler, start_background=False)
        loader = tio.SubjectsLoader(queue, batch_size=BATCH)
        return (batch["image"]["data"][..., 0] for batch in loader)

    return {"TorchIO LabelSampler and Queue": batches}


def rates(routes: dict[str, Route], repeats: int) -> dict[str, float]:
    """Patches per CPU second of each route, the best of those taken in turn after a warm-up."""
    best = dict.fromkeys(routes, 0.0)
    for repeat in range(repeats + 1):
        for name, route in routes.items():
            patches, start = 0, time.process_time()
            for batch in route(repeat):
                if batch.shape[1:] != (CHANNELS, SIZE, SIZE):
                    raise RuntimeError(f"{name}: {tuple(batch.shape)}")
                patches += len(batch)
            rate = patches / (time.process_time() - start)
            best[name] = max(best[name], rate if repeat else 0.0)
    return best


def main() -> None:
    """Simulate, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    set_track_meta(False)
    warnings.simplefilter("ignore")
    subjects = [simulated(number) for number in range(SUBJECTS)]
    routes = our_routes(subjects) | monai_routes(subjects) | torchio_routes(subjects)
    found = rates(routes | {"(a copy)": copies()}, repeats)
    first = next(iter(found.values()))
    table = Table("", "patches per CPU s", "ratio", title="32×32×2 patches, batches of 128")
    for name, rate in found.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / first:.4f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
