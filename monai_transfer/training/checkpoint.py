"""Checkpoints from which a training goes on to the result it would have had."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint as IgniteCheckpoint

from monai_transfer._terminal import console
from monai_transfer.training.files import save_checkpoint
from monai_transfer.training.identity import identity
from monai_transfer.training.provenance import RunRecord
from monai_transfer.training.randomness import (
    EpochSampler,
    random_states,
    restore_random_states,
)
from monai_transfer.training.run import load_best
from monai_transfer.training.session import CHECKPOINT, without_alarm
from monai_transfer.transfer import Adaptation


class Checkpoint:
    """Save everything a training consists of after each epoch, and when a signal ends it.

    The file is written aside and renamed, and the one before it stays until then: a run that is
    killed at any moment can go on. The trainer goes on where it was, within an epoch too.

    Args:
        record: of the run; gone on with from ``record.earlier`` if there is one.
        adaptation: of the network; what is frozen is proved at each end.
        validator: during it, a signal ends the run without a new checkpoint.
        states: everything else with a state, by name.

    List it last among the trainer's handlers.
    """

    def __init__(
        self,
        record: RunRecord,
        adaptation: Adaptation,
        *,
        validator: Engine,
        states: Mapping[str, Any],
    ) -> None:
        self.record, self.adaptation, self.validator = record, adaptation, validator
        self.path = record.output_dir / CHECKPOINT
        self.states = {"network": adaptation.network, "record": record, **states}
        self._within_epoch = False  # between two steps of one
        self._random: Mapping[str, Any] | None = None

    def attach(self, engine: Engine) -> None:
        """Go on when the trainer starts; save after each epoch; watch for signals."""
        engine.add_event_handler(Events.STARTED, self._restore)
        engine.add_event_handler(Events.ITERATION_STARTED, self._step_begins)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step_ends)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        self.validator.add_event_handler(Events.ITERATION_COMPLETED, self._stop)
        for watched in (engine, self.validator):
            without_alarm(watched)

    def save(self, engine: Engine) -> None:
        """Save now, between two steps of the trainer.

        Raises:
            OSError: as when the disk is full; the checkpoint before this one stays.
        """
        if idist.get_rank() != 0:
            return
        content = {
            "run": self._identity,
            "states": {name: thing.state_dict() for name, thing in self._all(engine).items()},
            "random": self._random or random_states(),
        }
        save_checkpoint(content, self.path)

    def stop(self, engine: Engine) -> None:
        """End the run as a signal asks; within an epoch, save first where that can be gone on with.

        Raises:
            Stopped: always.
        """
        loader: Any = getattr(engine, "data_loader", None)
        skips = isinstance(getattr(loader, "sampler", None), EpochSampler)
        accumulates = getattr(engine, "accumulation_steps", 1) > 1  # gradients are not saved
        if self._within_epoch and skips and not accumulates:
            self.save(engine)
        self.record.session.stop()

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return identity(self.adaptation, self.record)

    def _all(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return {"trainer": engine, **self.states, **({} if scaler is None else {"scaler": scaler})}

    def _restore(self, engine: Engine) -> None:
        earlier = self.record.earlier
        if earlier is None:
            torch.manual_seed(torch.initial_seed())  # MONAI's loader does so without processes only
        else:
            IgniteCheckpoint.load_objects(self._all(engine), earlier["states"])
            self.adaptation.verify()
            self._go_on(engine, earlier["random"])
            self._announce(engine)
        self._tell(engine)

    def _go_on(self, engine: Engine, random: Mapping[str, Any]) -> None:
        steps = engine.state.iteration % (engine.state.epoch_length or 1)
        if steps == 0:
            restore_random_states(random)
            return
        loader: Any = engine.data_loader  # type: ignore[attr-defined]
        loader.sampler.skip(steps * (loader.batch_size or 1))  # without one, a draw is a batch
        self._within_epoch = True
        self._random = random  # not yet: the loader, opened a second time, draws a number first

    def _announce(self, engine: Engine) -> None:
        done, epochs = engine.state.epoch, engine.state.max_epochs or 0
        if idist.get_rank() == 0:
            where = f"in epoch {done + 1} of {epochs}" if done < epochs else "after its last epoch"
            console.print(f"The run goes on {where}.", highlight=False)

    def _step_begins(self, engine: Engine) -> None:
        del engine
        self._within_epoch = False
        if self._random is not None:
            restore_random_states(self._random)
            self._random = None

    def _step_ends(self, engine: Engine) -> None:
        """Let a signal end the run; at an epoch's last step, after what belongs to the epoch."""
        last = engine.state.iteration % (engine.state.epoch_length or 1) == 0
        self._within_epoch = not last
        if not last and self.record.session.is_asked():
            self.stop(engine)

    def _epoch_completed(self, engine: Engine) -> None:
        self.save(engine)
        self._tell(engine)
        self._stop()

    def _stop(self) -> None:
        if self.record.session.is_asked():
            self.record.session.stop()

    def _tell(self, engine: Engine) -> None:
        self.record.session.progress(engine.state.epoch, engine.state.max_epochs or 0)


def train(trainer: Engine, checkpoint: Checkpoint) -> None:
    """Train to the end and take the best epoch's weights; or to a signal that ends the run.

    Args:
        trainer: a MONAI trainer with `checkpoint` among its handlers.
        checkpoint: knows the run.

    Raises:
        Stopped: a signal came; there is a checkpoint.
        InputError: a frozen tensor changed, or no epoch was validated.
    """
    session = checkpoint.record.session
    with session.running():
        try:
            trainer.run()
        except RuntimeError as error:
            if session.asked is None or "DataLoader worker" not in str(error):
                raise
            checkpoint.stop(trainer)  # the signal ended the loader's processes first
    load_best(checkpoint.adaptation, checkpoint.record)
