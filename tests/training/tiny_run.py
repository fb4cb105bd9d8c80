"""A training on tiny subjects that a process of its own can begin, be killed in, and go on with.

Run by ``runpy.run_path`` with ``FOLDER``, ``ENTRIES`` (JSON) and options among its globals.
"""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset, DataLoader, list_data_collate
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, TensorBoardStatsHandler, ValidationHandler
from monai.utils import set_determinism
from torch import nn

from monai_transfer.networks import PathologyUNet
from monai_transfer.training import (
    BestWeights,
    Checkpoint,
    DecayingWeightCrossEntropy,
    EpochBatches,
    EpochSampler,
    EventLog,
    History,
    RegionDice,
    RunRecord,
    SeededCacheDataset,
    StayFinite,
    VolumeInferer,
    class_weights,
    conclude,
    console,
    prepare,
    train,
)
from monai_transfer.training.randomness import Draw, Draws
from monai_transfer.transfer import Source, adapt
from monai_transfer.transforms import k19, k19_training

LABEL_VALUES, REGIONS = [0, 1, 4], {"enhancing": [4], "core": [1, 4]}
MODALITIES = ["t1", "flair"]
EPOCHS = 4


class DroppingUNet(PathologyUNet):
    """One that draws from torch's global generator in every step."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.dropout(image, 0.1, self.training))


class WholeBatches(SeededCacheDataset):
    """One that is asked for a batch at a time."""

    def __getitem__(self, index: Any) -> Any:
        return list_data_collate([super(WholeBatches, self).__getitem__(d) for d in draws(index)])


def draws(batch: Draws) -> list[Draw]:
    return [Draw(batch.epoch, int(item)) for item in batch.items]


def tiny_run(
    folder: Path,
    entries: list[dict[str, Any]],
    *,
    workers: int = 0,
    resume: bool = False,
    strategy: str = "decoder",
    learning_rate: float = 0.02,
    batch_size: int = 1,
    in_batches: bool = False,
    epochs: int = EPOCHS,
    at_step: Callable[[Engine], None] | None = None,
    at_validation: Callable[[Engine], None] | None = None,
    fails: type[Exception] | None = None,
) -> None:
    """Train on all subjects, validate on the first every second epoch, conclude.

    Args:
        folder: of the run.
        entries: of the datalist.
        workers: loader processes.
        resume: as the option.
        strategy: as the option.
        learning_rate: as the option.
        batch_size: as the option.
        in_batches: the dataset makes whole batches.
        epochs: as the option.
        at_step: called in each of the trainer's steps.
        at_validation: called in each of the validator's.
        fails: the error to fail with after training.
    """
    set_determinism(seed=3)
    torch.set_num_threads(1)
    network = DroppingUNet(2, 3, filters=2, resolution_steps=2)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    source = Source("lesions", state, tuple(MODALITIES), "ab" * 32)
    adaptation = adapt(network, source, strategy=strategy, modalities=MODALITIES)
    config = {"learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size}
    record = RunRecord(folder, config, data={"sha256": "cd"}, resume=resume)
    prepare(adaptation, record)

    optimizer = torch.optim.Adam(adaptation.parameter_groups(learning_rate))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss = DecayingWeightCrossEntropy(class_weights(entries, LABEL_VALUES), decay=0.5)
    preset = k19(label_values=LABEL_VALUES)
    chain = k19_training(preset, (16, 16, 16), domain_randomisation=1.0)
    inferer = VolumeInferer((24, 24, 24), amp=False)
    best, log = BestWeights(network), EventLog(folder / "tensorboard")
    validator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(CacheDataset(entries[:1], preset, progress=False)),
        network=network,
        inferer=inferer,
        key_val_metric={"mean_dice": RegionDice(REGIONS, LABEL_VALUES)},
        val_handlers=[best, TensorBoardStatsHandler(log, iteration_log=False)],
    )
    history = History(folder / "history.csv", validator)
    kind = WholeBatches if in_batches else SeededCacheDataset
    dataset = kind(entries, chain, seed=3, progress=False)
    if in_batches:
        sampler = EpochBatches(dataset, batch_size, 3)
        loading: dict[str, Any] = {"batch_size": None, "collate_fn": lambda batch: batch}
    else:
        sampler, loading = EpochSampler(dataset, 3), {"batch_size": batch_size}
    parts = {"optimizer": optimizer, "lr_scheduler": scheduler, "loss": loss}
    parts |= {"best": best, "history": history, "event_log": log}
    checkpoint = Checkpoint(record, adaptation, validator=validator, states=parts)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, sampler=sampler, num_workers=workers, **loading),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer,
        train_handlers=[
            loss,
            StayFinite(network),
            LrScheduleHandler(scheduler, print_lr=False),
            ValidationHandler(2, validator),
            history,
            TensorBoardStatsHandler(
                log, tag_name="loss", output_transform=lambda output: output["loss"].detach()
            ),
            checkpoint,
        ],
        decollate=False,
    )
    if at_step is not None:
        trainer.add_event_handler(Events.ITERATION_STARTED, at_step)
    if at_validation is not None:
        validator.add_event_handler(Events.ITERATION_STARTED, at_validation)
    train(trainer, checkpoint)
    if fails is not None:
        raise fails
    conclude(adaptation, record, history)


def killed_at(step: int) -> Callable[[Engine], None]:
    """In a step, the process is killed as nobody can prevent."""

    def kill(engine: Engine) -> None:
        if engine.state.iteration == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


if __name__ == "__main__":
    multiprocessing.set_start_method("fork", force=True)  # loaders end with their parent
    options: dict[str, Any] = json.loads(globals()["OPTIONS"])
    step = options.pop("killed_at", None)
    with console.capture():
        tiny_run(
            Path(globals()["FOLDER"]),
            json.loads(globals()["ENTRIES"]),
            at_step=None if step is None else killed_at(step),
            **options,
        )
