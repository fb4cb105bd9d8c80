"""Seconds and peak memory of one training step and one whole-volume inference.

The 3D U-Net of Kaur 2019 as our bundles run it (whole volume, channels last, bfloat16 where the
hardware has it), beside the same network run plainly (float32, default memory layout; sliding
window for inference) and beside the Model Zoo's SegResNet for BraTS. Each row is a process of its
own, so that its peak memory is its own.

    python tests/benchmarks/bench_network_step.py [--size 240 192 192] [--repeats 3]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import SegResNet
from rich import print as show
from rich.table import Table
from torch import nn

from monai_transfer.networks import PathologyUNet
from monai_transfer.training import VolumeInferer, on_device

CHANNELS = 4


def _unet() -> nn.Module:
    return PathologyUNet(CHANNELS, 4)


def _segresnet() -> nn.Module:
    """As in the Model Zoo's ``brats_mri_segmentation`` 0.5."""
    return SegResNet(
        blocks_down=[1, 2, 2, 4],
        blocks_up=[1, 1, 1],
        init_filters=16,
        in_channels=CHANNELS,
        out_channels=3,
        dropout_prob=0.2,
    )


def _plain(network: nn.Module, size: list[int]) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    del size
    return network, lambda image, net: net(image)


def _window(network: nn.Module, size: list[int]) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    roi = [min(128, n) for n in size]
    return network, SlidingWindowInferer(roi, overlap=0.25)


def _ours(network: nn.Module, size: list[int]) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    return on_device(network, torch.device("cpu")), VolumeInferer(size)


ROWS = {
    "U-Net, plain float32": (_unet, _plain),
    "U-Net, sliding window 128, float32": (_unet, _window),
    "U-Net, as in the bundles": (_unet, _ours),
    "SegResNet (zoo), plain float32": (_segresnet, _plain),
    "SegResNet (zoo), sliding window 128, float32": (_segresnet, _window),
}


def _time(work: Callable[[], None], repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure(row: str, mode: str, size: list[int], repeats: int) -> dict[str, float]:
    """One row in this process: median seconds, and the process's peak memory in MB."""
    build, run = ROWS[row]
    torch.manual_seed(0)
    network, inferer = run(build(), size)
    image = torch.rand(1, CHANNELS, *size)

    def infer() -> None:
        with torch.inference_mode():
            inferer(image, network)

    if mode == "infer":
        network.eval()
        return {"seconds": _time(infer, repeats), "peak_mb": _peak_mb()}
    optimizer = torch.optim.Adam(network.parameters())
    label = torch.randint(0, 3, (1, *size))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(inferer(image, network), label).backward()
        optimizer.step()

    return {"seconds": _time(step, repeats), "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_a_process(row: str, mode: str, size: list[int], repeats: int) -> dict[str, float] | None:
    command = [sys.executable, __file__, "--row", row, "--mode", mode, "--repeats", str(repeats)]
    done = subprocess.run(
        [*command, "--size", *map(str, size)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    """Print one table per mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs=3, type=int, default=[240, 192, 192])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--mode", choices=["train", "infer"])
    options = parser.parse_args()
    if options.row:
        sys.stdout.write(
            json.dumps(measure(options.row, options.mode, options.size, options.repeats))
        )
        return
    for mode in ("train", "infer"):
        table = Table(title=f"{mode}, {CHANNELS} × {' × '.join(map(str, options.size))}")
        for heading in ("network", "seconds", "ratio", "peak MB"):
            table.add_column(heading, justify="left" if heading == "network" else "right")
        first = None
        for row in ROWS:
            if mode == "train" and "window" in row:
                continue
            found = _in_a_process(row, mode, options.size, options.repeats)
            if found is None:
                table.add_row(row, "out of memory or failed", "", "")
                continue
            first = first or found["seconds"]
            ratio = found["seconds"] / first
            table.add_row(row, f"{found['seconds']:.2f}", f"{ratio:.2f}", f"{found['peak_mb']:.0f}")
        show(table)


if __name__ == "__main__":
    main()
