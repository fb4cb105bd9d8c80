"""Ending a training whose validation no longer gets better."""

from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.training.best import is_best


class EarlyStopping:
    """End the trainer after validations in a row that were not the best so far.

    MONAI's ``EarlyStopHandler`` forgets its count when a run is interrupted; this one goes on. Of
    several processes the first decides: each has statistics of batch norm, and so scores, of its
    own.

    Args:
        validator: a MONAI evaluator; its key metric decides.
        patience: validations without a better one before the end; ``None`` never ends early.

    Raises:
        InputError: a patience below 1.

    Source:
        Ghafoorian 2017, section 2.3, 'an early stopping policy'; the patience is not stated there.
    """

    def __init__(self, validator: Engine, patience: int | None) -> None:
        if patience is not None and patience < 1:
            raise InputError("early stopping", "patience", "be at least 1", got=patience)
        self.validator, self.patience = validator, patience
        self.without_better = 0

    def attach(self, engine: Engine) -> None:
        """Count at each validation; end the trainer before the next epoch."""
        self.validator.add_event_handler(Events.COMPLETED, self._count)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)
        engine.add_event_handler(Events.EPOCH_STARTED, self._end)  # one that was interrupted there

    def state_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return {"without_better": self.without_better}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.without_better = int(state["without_better"])

    def _count(self, validator: Engine) -> None:
        self.without_better = 0 if is_best(validator) else self.without_better + 1

    def _end(self, engine: Engine) -> None:
        if self.patience is None:
            return
        self.without_better = int(torch.as_tensor(idist.broadcast(self.without_better, src=0)))
        if self.without_better < self.patience:
            return
        if idist.get_rank() == 0 and not engine.should_terminate:
            count = f"{self.without_better} validations without a better one"
            console.print(f"The training ends early: {count}.", highlight=False)
        engine.terminate()
