"""Slices per second of SegAN's training beside a plain U-Net's, and where a step's time goes.

SegAN is trained as ``segan_source`` says it, with either critic: the trainer is that of its
``train.json``. Beside it on MONAI's supervised trainer, with cross entropy and Dice: MONAI's U-Net
of about as many parameters as the segmentor, plainly (float32, default memory layout) and as our
bundles run a network (channels last, bfloat16 where the hardware has it); and the segmentor alone.
All take the same batches of 32 slices out of memory. One thread; routes run in turn; best of some
repeats, by CPU time.

Then the parts of the best of SegAN's epochs. ``checks`` is what ends a training that has collapsed.

    python tests/benchmarks/bench_segan.py [--repeats 5] [--batches 8] [--size 96] [--filters 8]
"""

import argparse
import logging
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.data import DataLoader
from monai.engines import SupervisedTrainer, Trainer
from monai.inferers import Inferer
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.utils import set_determinism
from monai.utils.enums import AdversarialIterationEvents as Step
from rich.console import Console
from rich.table import Table
from torch import nn

from monai_transfer.networks import CRITIC_INPUTS, Segmentor
from monai_transfer.training import AutocastInferer, EpochBatches, on_device
from monai_transfer.transforms import ContiguousSlicesd, SliceDataset

CONFIG = Path(__file__).parents[2] / "bundles" / "segan_source" / "configs" / "train.json"
BATCH, CPU = 32, torch.device("cpu")
Subjects = list[Any]
Trained = tuple[Trainer, nn.Module]
"""A trainer of one epoch, and what it trains."""

ENDS = {
    Events.GET_BATCH_STARTED: "checks",
    Events.GET_BATCH_COMPLETED: "reading a batch",
    Step.GENERATOR_FORWARD_COMPLETED: "segmentor forward",
    Step.GENERATOR_DISCRIMINATOR_FORWARD_COMPLETED: "critic forward, segmentor's step",
    Step.RECONSTRUCTION_LOSS_COMPLETED: "Dice term",
    Step.GENERATOR_LOSS_COMPLETED: "Dice term",
    Step.GENERATOR_BACKWARD_COMPLETED: "backward, segmentor's step",
    Step.DISCRIMINATOR_REALS_FORWARD_COMPLETED: "critic forward, critic's step",
    Step.DISCRIMINATOR_FAKES_FORWARD_COMPLETED: "critic forward, critic's step",
    Step.DISCRIMINATOR_LOSS_COMPLETED: "critic forward, critic's step",
    Events.ITERATION_COMPLETED: "checks",
}
"""Which part of a step is over at an event."""


class Parts:
    """CPU seconds of each part of a SegAN's steps: marks before and after what it has attached."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.last = 0.0

    def before(self, engine: Engine) -> None:
        """The marks before the bundle's handlers."""
        self._mark(engine, ENDS, "optimisers", ("backward, critic's step", "optimisers"))
        self.last = time.process_time()

    def after(self, engine: Engine) -> None:
        """The marks after them."""
        self._mark(engine, dict.fromkeys(ENDS, "checks"), "checks", ("checks", "clipping"))

    def _mark(
        self, engine: Engine, ends: Mapping[Any, str], generator: str, critic: tuple[str, str]
    ) -> None:
        for event, part in ends.items():
            engine.add_event_handler(event, self._end, part)
        state: Any = engine.state
        for optimizer, (before, after) in (
            (state.g_optimizer, (generator, generator)),
            (state.d_optimizer, critic),
        ):
            optimizer.register_step_pre_hook(lambda *_, part=before: self._end(part))
            optimizer.register_step_post_hook(lambda *_, part=after: self._end(part))

    def _end(self, part: str) -> None:
        now = time.process_time()
        self.seconds[part] += now - self.last
        self.last = now


def volumes(size: int, count: int) -> Subjects:
    """Noise with a brighter box, each the slices of one batch."""
    rng = torch.Generator().manual_seed(0)
    image = 0.5 * torch.rand((count, 1, size, size, BATCH), generator=rng)
    label = torch.zeros(image.shape, dtype=torch.uint8)
    label[:, :, size // 4 : size // 2, size // 4 : size // 2, 4:-4] = 1
    image += 0.2 * label
    contiguous = ContiguousSlicesd(["image", "label"])
    return [contiguous({"image": image[n], "label": label[n]}) for n in range(count)]


def segan(subjects: Subjects, critic: str, filters: int, parts: Parts) -> Trained:
    """The bundle's trainer, and what acts on each of its steps."""
    config = ConfigParser()
    config.read_config(CONFIG)
    stay_alive, clipping = config["train#handlers"][:2]
    changes = {"train#dataset": subjects, "critic": critic, "filters": filters, "epochs": 1}
    changes |= {"device": "cpu", "train#handlers": [], "each_step": [stay_alive, clipping]}
    config.update(changes)
    trainer = config.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.STARTED, parts.before)
    for handler in config.get_parsed_content("each_step"):
        handler.attach(trainer)
    trainer.add_event_handler(Events.STARTED, parts.after)
    return trainer, config.get_parsed_content("model")


def supervised(subjects: Subjects, network: nn.Module, inferer: Inferer | None = None) -> Trained:
    """MONAI's trainer of a network."""
    dataset = SliceDataset(subjects, flip=True)
    sampler = EpochBatches(dataset, BATCH)
    trainer = SupervisedTrainer(
        device=CPU,
        max_epochs=1,
        train_data_loader=DataLoader(
            dataset, batch_size=None, sampler=sampler, collate_fn=dataset.collate
        ),
        network=network,
        optimizer=torch.optim.RMSprop(network.parameters(), lr=3e-4),
        loss_function=DiceCELoss(to_onehot_y=True, softmax=True),
        inferer=inferer,
        decollate=False,
    )
    return trainer, network


def routes(subjects: Subjects, filters: int) -> dict[str, Callable[[Parts], Trained]]:
    """Each begins anew."""

    def unet() -> nn.Module:
        widths = [5 * filters * 2**n // 4 for n in range(4)]
        return UNet(2, 1, 2, widths, strides=(2, 2, 2))

    def as_ours(network: nn.Module) -> Trained:
        return supervised(subjects, on_device(network, CPU), AutocastInferer())

    return {
        **{
            f"SegAN, critic {critic}": partial(segan, subjects, critic, filters)
            for critic in CRITIC_INPUTS
        },
        "U-Net, plain float32": lambda _: supervised(subjects, unet()),
        "U-Net, run as ours": lambda _: as_ours(unet()),
        "segmentor alone, run as ours": lambda _: as_ours(Segmentor(1, filters=filters)),
    }


def measured(
    found: Mapping[str, Callable[[Parts], Trained]], repeats: int
) -> dict[str, tuple[float, int, Parts]]:
    """Of each route the fewest seconds of an epoch after a warm-up, its parameters and parts."""
    best: dict[str, tuple[float, int, Parts]] = {}
    for repeat in range(repeats + 1):
        for name, route in found.items():
            set_determinism(seed=0)
            trainer, network = route(parts := Parts())
            start = time.process_time()
            trainer.run()
            seconds = time.process_time() - start
            if repeat and (name not in best or seconds < best[name][0]):
                count = sum(parameter.numel() for parameter in network.parameters())
                best[name] = seconds, count, parts
    return best


def main() -> None:
    """Time all, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--filters", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    subjects = volumes(options.size, options.batches)
    best = measured(routes(subjects, options.filters), options.repeats)
    first = next(iter(best.values()))[0]
    title = f"training, batches of {BATCH} slices of {options.size}×{options.size}"
    table = Table("", "parameters", "slices per CPU s", "ratio", title=title)
    for name, (seconds, count, _) in best.items():
        rate, ratio = BATCH * options.batches / seconds, first / seconds
        table.add_row(name, f"{count:,}", f"{rate:,.0f}", f"{ratio:.2f}")
    Console(width=100).print(table)
    timed = {name: parts.seconds for name, (_, _, parts) in best.items() if parts.seconds}
    table = Table("share of a step", *timed, title="where the time goes")
    longest = next(iter(timed.values()))
    for part in sorted(longest, key=lambda part: -longest[part]):
        shares = (seconds[part] / sum(seconds.values()) for seconds in timed.values())
        table.add_row(part, *(f"{share:.1%}" for share in shares))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
