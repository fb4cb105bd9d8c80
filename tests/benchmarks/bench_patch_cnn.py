"""Voxels per second of Ghafoorian 2017's patch network over a volume, each way of running it.

Patch by patch is the definition, one patch for each voxel; it is timed on some voxels of the brain,
the other rows on the volume, all in turn within each round. A rate counts the brain's voxels, for
these are asked for, whatever else a row classifies; the brain is an ellipsoid over 3/4 of each
axis. Beside the rate stands how far a logit in the brain is from the definition (the whole slice in
float32, which the tests prove equal to it), and the share of the brain's voxels whose class is
another; the weights are random ones, on whose margins that share depends.

MONAI's SlidingWindowInferer over the fully convolutional form is comparable in what it answers, a
logit for every voxel, but not exact: each window of 32 × 32 sees zeros for its surroundings. Over
the patch network itself it needs an output as large as its window, for which a user would spread
the one value over the window: that answers another question, as its column of classes shows. A
step of one voxel with only the central value kept would be patch by patch again.

    python tests/benchmarks/bench_patch_cnn.py [--size 96 96 10] [--repeats 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from monai.inferers import SlidingWindowInferer
from rich import print as show
from rich.table import Table
from torch import Tensor
from torch.nn.functional import pad

from monai_transfer.networks import PatchCNN
from monai_transfer.training import FullyConvolutionalInferer, has_bfloat16

PATCHES = 256
"""Voxels that are classified patch by patch."""


def _network() -> PatchCNN:
    torch.manual_seed(0)
    network = PatchCNN(2).train()
    with torch.no_grad():
        for _ in range(5):  # statistics of the norms
            network(torch.rand(128, 2, 32, 32))
    return network.eval()


def _volume(size: list[int]) -> tuple[Tensor, Tensor]:
    """Intensities in [0, 1] of two channels, zero outside the brain, and the brain."""
    axes = [torch.linspace(-1, 1, n) for n in size]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    brain = x**2 + y**2 + z**2 < 0.75**2
    return torch.rand(1, 2, *size) * brain, brain


def _patch_by_patch(volume: Tensor, brain: Tensor, network: PatchCNN) -> None:
    padded = pad(volume[0], (0, 0, 16, 15, 16, 15))
    voxels = brain.nonzero()
    voxels = voxels[torch.linspace(0, len(voxels) - 1, PATCHES).long()].tolist()
    for start in range(0, PATCHES, 128):
        chosen = voxels[start : start + 128]
        network(torch.stack([padded[:, i : i + 32, j : j + 32, k] for i, j, k in chosen]))


def _windows(volume: Tensor, network: Callable[[Tensor], Tensor], overlap: float) -> Tensor:
    slices = volume[0].movedim(-1, 0)
    logits = SlidingWindowInferer((32, 32), sw_batch_size=64, overlap=overlap)(slices, network)
    return logits.movedim(0, -1)[None]


def _rows(volume: Tensor, network: PatchCNN) -> dict[str, Callable[[], Tensor]]:
    fcn = network.to_fully_convolutional()

    def ours(**options: bool) -> Callable[[], Tensor]:
        options = {"amp": False, "skip": False, "fold_norms": False} | options
        return lambda: FullyConvolutionalInferer(**options)(volume, network)

    def spread(windows: Tensor) -> Tensor:
        return network(windows)[:, :, None, None].expand(-1, -1, 32, 32).contiguous()

    rows = {
        "whole slices, float32": ours(),
        "  norms folded": ours(fold_norms=True),
        "  brain only": ours(skip=True),
        "  brain only, norms folded": ours(skip=True, fold_norms=True),
    }
    if has_bfloat16(volume.device):
        rows |= {
            "whole slices, bfloat16, norms folded": ours(amp=True, fold_norms=True),
            "  brain only (the default)": ours(amp=True, skip=True, fold_norms=True),
        }
    for overlap in (0.25, 0.5):
        rows[f"MONAI windows over it, overlap {overlap}"] = lambda o=overlap: _windows(
            volume, fcn, o
        )
    rows["MONAI windows over the patch network, 0.5"] = lambda: _windows(volume, spread, 0.5)
    return rows


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs=3, type=int, default=[96, 96, 10])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    network = _network()
    volume, brain = _volume(options.size)
    rows = _rows(volume, network)
    truth, *others = [work()[0, :, brain] for work in rows.values()]  # and warm
    seconds: dict[str, list[float]] = {name: [] for name in ("patch by patch", *rows)}
    for _ in range(options.repeats):
        patches = _seconds(lambda: _patch_by_patch(volume, brain, network))
        seconds["patch by patch"].append(patches / PATCHES * int(brain.sum()))
        for name, work in rows.items():
            seconds[name].append(_seconds(work))
    table = Table(title=f"{' × '.join(map(str, options.size))}, {int(brain.sum())} of brain")
    for heading in ("way", "voxels/s", "ratio", "logit off by", "other class"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    results = dict(zip(rows, [truth, *others], strict=True))
    for name, median in medians.items():
        cells = ["", ""]
        if name in results and results[name] is not truth:
            off = (results[name] - truth).abs().max().item()
            flips = (results[name].argmax(0) != truth.argmax(0)).float().mean().item()
            cells = [f"{off:.1e}", f"{100 * flips:.2f} %"]
        ratio = medians["patch by patch"] / median
        table.add_row(name, f"{int(brain.sum()) / median:.0f}", f"{ratio:.1f}", *cells)
    show(table)


if __name__ == "__main__":
    main()
