"""The weights at the validation's best score."""

import math
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.training.finite import first_wild


class BestWeights:
    """Keep a copy of the network's weights at the validation's best key metric, on the CPU.

    A score that is not finite is never the best. The copy lasts as long as the run's checkpoint;
    nothing is published before the run's end.

    Args:
        network: whose state dict is kept.

    Attach it to the validator.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.weights: dict[str, Tensor] | None = None
        self.metric, self.epoch = -1.0, -1  # as in the state of MONAI's evaluators at first
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Keep after each validation that is the best so far.

        Raises:
            InputError: then, weights that are not finite; what was kept stays.
        """
        self._engine = engine
        engine.add_event_handler(Events.COMPLETED, self._keep)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"weights": self.weights, "metric": self.metric, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; the validator is told what the best score is."""
        self.weights, self.metric, self.epoch = state["weights"], state["metric"], state["epoch"]
        self._tell()

    def _keep(self, engine: Engine) -> None:
        state: Any = engine.state  # MONAI's evaluator adds the best metric to ignite's state
        if not is_best(engine):
            return
        if not math.isfinite(state.best_metric):
            self._tell()
            return
        network = getattr(self.network, "module", self.network)  # below DDP
        weights = network.state_dict()
        wild = first_wild(weights.items())
        if wild is not None:
            todo = "Lower the learning rate."
            raise InputError("training", "weights", "stay finite", got=wild, todo=todo)
        self.weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        self.metric, self.epoch = float(state.best_metric), int(state.epoch)

    def _tell(self) -> None:
        if self._engine is not None:
            state: Any = self._engine.state
            state.best_metric, state.best_metric_epoch = self.metric, self.epoch


def is_best(validator: Engine) -> bool:
    """Whether the last validation of a MONAI evaluator is its best so far."""
    state: Any = validator.state
    return bool(state.best_metric_epoch == state.epoch)


def load_best(network: nn.Module, state: Mapping[str, Any]) -> None:
    """Put the kept weights into a network.

    Args:
        network: of the same architecture, changed in place.
        state: of a :class:`BestWeights`.

    Raises:
        InputError: no epoch was validated with a score.
    """
    weights = state["weights"]
    if weights is None:
        rule, todo = "be validated with a finite score", "Let --val_interval be at most --epochs."
        raise InputError("training", "at least one epoch", rule, got="none", todo=todo)
    network.load_state_dict(weights)
