"""A small adversarial training on slices that are drawn, never stored; see ``test_adversarial``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.handlers import LrScheduleHandler, ValidationHandler, from_engine
from monai.handlers import MeanAbsoluteError as HandledError
from monai.utils import set_determinism
from torch import nn

from monai_transfer.training import (
    AdversarialTrainer,
    BestWeights,
    Checkpoint,
    ConditionalInferer,
    EpochBatches,
    GeneratorInferer,
    History,
    PrepareConditionalBatch,
    ReconstructionGANLoss,
    RunRecord,
    StayAlive,
    conclude,
    prepare,
    train,
)
from monai_transfer.training.randomness import Draws
from monai_transfer.transfer import adapt

EPOCHS, STEPS = 3, 4
CPU = torch.device("cpu")


class DrawnSlices(torch.utils.data.Dataset[Any]):
    """Discs of one brightness on noise, a batch at a time; each draw is its own random numbers."""

    def __len__(self) -> int:
        return 3 * STEPS

    def __getitem__(self, index: Draws) -> dict[str, torch.Tensor]:
        return {
            key: torch.stack([drawn(index.epoch, int(i))[key] for i in index.items])
            for key in ("image", "label")
        }


def drawn(epoch: int, item: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(100 * epoch + item)
    x, y = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    i, j = 4 + 8 * torch.rand(2, generator=random)
    disc = ((x - i) ** 2 + (y - j) ** 2 < 9).float()[None]
    return {"image": (disc + torch.rand(1, 16, 16, generator=random)) / 2, "label": disc}


class AutoEncoder(nn.Sequential):
    """With batch norm, and dropout that draws from torch's global generator."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 4, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.1),
            nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1),
        )


class Discriminator(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(2, 8, 5), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, stride=4)
        )


@dataclass
class AdversarialRun:
    """What of a training a test wants to look at."""

    trainer: AdversarialTrainer
    generator: nn.Module
    discriminator: nn.Module


def build(
    *handlers: Any,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    epochs: int = EPOCHS,
    learning_rate: float = 2e-3,
    **options: Any,
) -> AdversarialRun:
    """A trainer of the two, with some handlers and no run around it."""
    generator = AutoEncoder() if generator is None else generator
    discriminator = Discriminator() if discriminator is None else discriminator
    data, loss = DrawnSlices(), ReconstructionGANLoss()
    trainer = AdversarialTrainer(
        device=CPU,
        max_epochs=epochs,
        train_data_loader=DataLoader(
            data, batch_size=None, sampler=EpochBatches(data, 3, 0), collate_fn=lambda batch: batch
        ),
        **{
            "g_network": generator,
            "g_optimizer": torch.optim.Adam(generator.parameters(), learning_rate),
            "g_loss_function": loss.generator,
            "recon_loss_function": loss.reconstruction,
            "d_network": discriminator,
            "d_optimizer": torch.optim.Adam(discriminator.parameters(), learning_rate),
            "d_loss_function": loss.discriminator,
            "prepare_batch": PrepareConditionalBatch(),
            "g_inferer": GeneratorInferer(amp=False),
            "d_inferer": ConditionalInferer(amp=False),
            "train_handlers": list(handlers),
            "decollate": False,
            **options,
        },
    )
    return AdversarialRun(trainer, generator, discriminator)


def adversarial_run(
    folder: Path, *, resume: bool = False, at_step: Callable[[Engine], None] | None = None
) -> AdversarialRun:
    """A whole run, validated each epoch: prepare, train, take the best, conclude."""
    set_determinism(seed=5)
    torch.set_num_threads(1)
    generator = AutoEncoder()
    adaptation = adapt(generator, strategy="scratch", modalities=["t1"])
    record = RunRecord(folder, {"seed": 5}, data={"sha256": "ef"}, resume=resume)
    prepare(adaptation, record)
    slices = [{"image": drawn(99, i)["image"], "label": drawn(99, i)["image"]} for i in range(2)]
    best = BestWeights(generator)
    validator = SupervisedEvaluator(
        device=CPU,
        val_data_loader=DataLoader(slices),
        network=generator,
        key_val_metric={"error": HandledError(output_transform=from_engine(["pred", "label"]))},
        metric_cmp_fn=lambda now, before: before < 0 or now < before,
        val_handlers=[best],
    )
    run = build(generator=generator)
    state: Any = run.trainer.state
    halve = {"step_size": 1, "gamma": 0.5}
    schedulers = {
        name: torch.optim.lr_scheduler.StepLR(getattr(state, f"{name[0]}_optimizer"), **halve)
        for name in ("g_scheduler", "d_scheduler")
    }
    history, alive = History(folder / "history.csv", validator), StayAlive()
    parts = {"best": best, "history": history, "alive": alive, **schedulers}
    checkpoint = Checkpoint(record, adaptation, validator=validator, states=parts)
    watching = [LrScheduleHandler(scheduler, print_lr=False) for scheduler in schedulers.values()]
    for handler in (alive, *watching, ValidationHandler(1, validator), history, checkpoint):
        handler.attach(run.trainer)
    if at_step is not None:
        run.trainer.add_event_handler(Events.ITERATION_STARTED, at_step)
    train(run.trainer, checkpoint)
    conclude(adaptation, record, history)
    return run
