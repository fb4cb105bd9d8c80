"""Seconds of an epoch that tunes the last layers, with and without the kept prefix, as ratios.

    python tests/benchmarks/bench_kept_prefix.py [--patches 2048] [--repeats 3]

Tuning all 15 layers of the patch network is 1. What computing the prefix costs, once, is a column
of its own. One thread; CPU seconds.
"""

import argparse
import time
from collections.abc import Callable

import torch
from monai.data import DataLoader
from rich import print as show
from rich.table import Table
from torch import nn

from monai_transfer.networks import PatchCNN
from monai_transfer.training import EpochBatches, KeptPrefix
from monai_transfer.transfer import freeze
from monai_transfer.transforms import PatchDataset

BATCH = 128
LAYERS = 15


def _subject(patches: int) -> dict[str, torch.Tensor]:
    """One brain with as much lesion as the patches need, a quarter of it drawn."""
    image = torch.rand(2, 128, 128, 8) + 0.1
    label = torch.zeros(1, 128, 128, 8)
    label.view(-1)[: 2 * patches] = 1
    return {"image": image, "label": label}


def _network(tuned: int) -> PatchCNN:
    torch.manual_seed(0)
    network = PatchCNN(2)
    for layer in [*network.convolutions, *network.dense][: LAYERS - tuned]:
        freeze(layer)
    return network


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _epoch(network: PatchCNN, data: KeptPrefix) -> Callable[[], None]:
    sampler = EpochBatches(data, batch_size=BATCH)
    loader = DataLoader(data, batch_size=None, sampler=sampler, collate_fn=data.collate)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-4)
    inferer = data.inferer

    def run() -> None:
        network.train()
        for batch in loader:
            optimizer.zero_grad()
            logits = inferer(batch["image"], network)
            nn.functional.cross_entropy(logits, batch["label"]).backward()
            optimizer.step()

    return run


def main() -> None:
    """Time every depth and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    patches = PatchDataset([_subject(given.patches)], fixed=True)
    whole = None
    table = Table(title=f"An epoch of {len(patches)} patches; all layers tuned is 1")
    for heading in ("tuned layers", "ordinary", "prefix kept", "the prefix, once"):
        table.add_column(heading, justify="right")
    for tuned in (15, 4, 3, 2, 1):
        network = _network(tuned)
        plain = KeptPrefix(patches, network, batch_size=BATCH, keep=False)
        built: list[KeptPrefix] = []
        once = _cpu_seconds(
            lambda network=network, built=built: built.append(
                KeptPrefix(patches, network, batch_size=BATCH)
            )
        )
        times = [
            min(_cpu_seconds(_epoch(network, data)) for _ in range(given.repeats))
            for data in (plain, built[0])
        ]
        whole = whole or times[0]
        kept = f"{times[1] / whole:.3f}" if built[0].layers else ""
        once_told = f"{once / whole:.3f}" if built[0].layers else ""
        table.add_row(str(tuned), f"{times[0] / whole:.3f}", kept, once_told)
    show(table, f"all layers: {whole:.2f} CPU seconds")


if __name__ == "__main__":
    main()
