"""Train the network of the built-in brain extraction, on simulated whole heads.

    python -m monai_transfer.training.brain_extraction OUTPUT [--label-maps FOLDER] [--steps 1500]

It sees no scan: heads come from the simulation and, where they are given, from label maps of real
ones. ``imaging/brain/unet.json`` says how the shipped weights were made.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

import monai_transfer
from monai_transfer._files import written_aside
from monai_transfer.imaging import read_image
from monai_transfer.imaging.brain.network import DIVISOR, BrainUNet
from monai_transfer.imaging.brain.working_grid import normalised
from monai_transfer.simulation.head_images import draw_pair
from monai_transfer.simulation.head_labels import HeadLabels, draw_head_labels, real_head_labels
from monai_transfer.training.autocast import bfloat16

Report = Callable[[int, float], None]


def train_brain_extraction(
    heads: Sequence[HeadLabels],
    steps: int,
    *,
    seed: int = 0,
    rate: float = 2e-3,
    start: Mapping[str, Tensor] | None = None,
    report: Report | None = None,
) -> BrainUNet:
    """Train on pictures of heads, one new picture a step.

    Args:
        heads: drawn from with equal chance.
        steps: of the optimiser.
        seed: the same seed gives the same weights on the same machine with one thread.
        rate: highest learning rate; it rises over a tenth of the steps and falls as a cosine.
        start: weights to go on from; ``None`` for random ones.
        report: called after each step with its number and loss.

    Returns:
        The network.

    Source:
        Ours; soft Dice and cross-entropy, against the part of each voxel within the inner skull.

    Example:
        >>> head = draw_head_labels(np.random.default_rng(0))
        >>> network = train_brain_extraction([head], 1)
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = BrainUNet()
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # faster
    if start is not None:
        network.load_state_dict(start)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    rise = 0.1 if steps != 10 else 0.099  # OneCycleLR divides by its steps less one
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=rise)
    for step in range(steps):
        image, target = draw_pair(rng, heads[int(rng.integers(len(heads)))])
        with bfloat16(torch.device("cpu"), wanted=True):
            logits = network(_batch(normalised(image)))
        loss = _loss(logits.float(), _batch(target))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if report is not None:
            report(step, loss.item())
    return network.eval()


def read_label_maps(folder: Path, *, spacing_mm: float = 2.0) -> list[HeadLabels]:
    """Heads from all ``*_dseg.nii.gz`` in a folder, thinned to `spacing_mm`."""
    heads = []
    for path in sorted(folder.glob("*_dseg.nii.gz")):
        image = read_image(path)
        stored = nib.Nifti1Image(image.voxels.astype(np.int16), image.affine)
        upright = nib.as_closest_canonical(stored)
        x, y, z = (max(1, round(spacing_mm / s)) for s in upright.header.get_zooms())
        labels = np.asarray(upright.dataobj)[::x, ::y, ::z]
        heads.append(real_head_labels(labels, spacing_mm=spacing_mm))
    return heads


def _batch(volume: np.ndarray) -> Tensor:
    """(1, 1, x, y, z), padded at the ends."""
    padding = [side for size in volume.shape[::-1] for side in (0, -size % DIVISOR)]
    return functional.pad(torch.from_numpy(volume), padding)[None, None]


def _loss(logits: Tensor, target: Tensor) -> Tensor:
    found = torch.sigmoid(logits)
    dice = 1.0 - (2.0 * (found * target).sum() + 1.0) / (found.sum() + target.sum() + 1.0)
    return dice + functional.binary_cross_entropy_with_logits(logits, target)


def _record(weights: Path) -> dict[str, Any]:
    """How weights were made."""
    record: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text())
    return record


def main() -> None:
    """Draw heads, train, write weights in half precision and a record of how."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="weights, ending in .pt")
    parser.add_argument("--label-maps", type=Path, help="folder of *_dseg.nii.gz of whole heads")
    parser.add_argument("--heads", type=int, default=24, help="simulated heads")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start", type=Path, help="weights of this command to go on from")
    options = parser.parse_args()
    console, start = Console(), time.process_time()
    seeds = ([options.seed, index] for index in range(options.heads))
    heads = [draw_head_labels(np.random.default_rng(seed)) for seed in seeds]
    real = read_label_maps(options.label_maps) if options.label_maps else []
    heads += real * max(1, options.heads // max(1, len(real)))  # half of the pictures
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 100 == 99:
            mean, minutes = np.mean(losses[-100:]), (time.process_time() - start) / 60
            console.print(f"step {step + 1}: loss {mean:.4f}, {minutes:.1f} CPU minutes")

    network = train_brain_extraction(
        heads,
        options.steps,
        seed=options.seed,
        rate=options.rate,
        start=torch.load(options.start, weights_only=True) if options.start else None,
        report=report,
    )
    with written_aside(options.output) as aside:
        torch.save({k: v.half() for k, v in network.state_dict().items()}, aside)
    record = {
        "simulated_heads": options.heads,
        "label_maps": len(real),
        "steps": options.steps,
        "seed": options.seed,
        "rate": options.rate,
        "starts_from": _record(options.start) if options.start else None,
        "loss_of_last_100_steps": round(float(np.mean(losses[-100:])), 4),
        "cpu_minutes": round((time.process_time() - start) / 60, 1),
        "versions": {"monai_transfer": monai_transfer.__version__, "torch": torch.__version__},
    }
    options.output.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
