"""The gate beside unpacking alone, nnU-Net's verify_dataset_integrity, and a training epoch.

Run: python tests/benchmarks/bench_gate.py --cohort brats2018 [--epoch]
The cohort has the layout of BraTS, as ``monai-transfer simulate brats`` writes it. nnU-Net is no
dependency of ours: its row is there where ``nnunetv2`` can be imported. All of it runs in one
process and one thread, in turn; the best of the repeats counts.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from monai_transfer.data import (
    build_datalist,
    check_datalist,
    manifest_path,
    read_manifest,
    reading,
)

Route = Callable[[], object]


def inflate(root: Path, entries: list[dict[str, Any]]) -> None:
    """Unpack every file, and do nothing with it: the least that reading to the end can take."""
    for entry in entries:
        for file in (*entry["image"], entry["label"]):
            zlib.decompress((root / file).read_bytes(), 31)


def stock(root: Path, entries: list[dict[str, Any]]) -> None:
    """Load every file as the loader does, which verifies nothing."""
    import nibabel as nib
    import numpy as np

    for entry in entries:
        for file in (*entry["image"], entry["label"]):
            np.asanyarray(nib.load(root / file).dataobj)


def nnunet(root: Path, entries: list[dict[str, Any]], folder: Path) -> Route | None:
    """nnU-Net's check of the same files, linked into its layout; ``None`` without nnU-Net."""
    os.environ.setdefault("nnUNet_raw", str(folder))
    try:
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
    except ImportError:
        return None
    target = folder / "Dataset001_Gate"
    for name in ("imagesTr", "labelsTr"):
        (target / name).mkdir(parents=True)
    for entry in entries:
        for index, file in enumerate(entry["image"]):
            link = target / "imagesTr" / f"{entry['subject']}_{index:04}.nii.gz"
            link.symlink_to((root / file).resolve())
        link = target / "labelsTr" / f"{entry['subject']}.nii.gz"
        link.symlink_to((root / entry["label"]).resolve())
    described = {
        "channel_names": {"0": "t1", "1": "t1c", "2": "t2", "3": "flair"},
        "labels": {"background": 0, "core": 1, "oedema": 2, "none": 3, "enhancing": 4},
        "numTraining": len(entries),
        "file_ending": ".nii.gz",
    }
    (target / "dataset.json").write_text(json.dumps(described))

    def verify() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            verify_dataset_integrity(str(target), num_processes=1)

    return verify


def epoch(root: Path, entries: list[dict[str, Any]]) -> Route:
    """What one epoch of K19 at 1 mm does with each subject: load, prepare, one step of training."""
    import torch

    from monai_transfer.networks import PathologyUNet
    from monai_transfer.transforms import k19, k19_training

    values = [0, 1, 2, 4]
    chain = k19_training(k19(spacing_mm=1.0, label_values=values), (128, 128, 128))
    network = PathologyUNet(4, 4)
    optimiser = torch.optim.Adam(network.parameters())

    def train() -> None:
        for entry in entries:
            images = [str(root / file) for file in entry["image"]]
            (patch,) = chain({"image": images, "label": str(root / entry["label"])})
            loss = torch.nn.functional.cross_entropy(
                network(patch["image"][None].as_tensor()), patch["label"].as_tensor().long()
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train


def best_seconds(route: Route, repeats: int) -> float:
    """The shortest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        route()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epoch", action="store_true", help="time an epoch of training, too")
    options = parser.parse_args()
    manifest = read_manifest(manifest_path("simulated_brats"))
    datalist = build_datalist(manifest, options.cohort, validation=0, test=0, check_counts=False)
    entries = datalist["training"]
    reading.SETTLED_S = -60.0  # a cohort made a moment ago is kept, too
    with tempfile.TemporaryDirectory() as folder:
        check: Callable[..., object] = lambda **more: check_datalist(  # noqa: E731
            datalist, options.cohort, workers=1, **more
        )
        check(cache_dir=folder)
        routes: dict[str, Route | None] = {
            "zlib alone": lambda: inflate(options.cohort, entries),
            "stock loading": lambda: stock(options.cohort, entries),
            "gate, first time": check,
            "gate, again": lambda: check(cache_dir=folder),
            "nnU-Net's check": nnunet(options.cohort, entries, Path(folder)),
            "epoch": epoch(options.cohort, entries) if options.epoch else None,
        }
        seconds = {n: best_seconds(r, options.repeats) for n, r in routes.items() if r is not None}
    table = Table("route", "ms per subject", "of an epoch", title=f"{len(entries)} subjects")
    for name, total in seconds.items():
        share = f"{100 * total / seconds['epoch']:.1f} %" if "epoch" in seconds else "–"
        table.add_row(name, f"{1e3 * total / len(entries):.1f}", share)
    Console().print(table)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console().print(f"peak memory of all of it: {peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
