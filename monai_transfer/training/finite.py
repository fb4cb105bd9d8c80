"""A training ends at the first number that is not finite."""

import math
from collections.abc import Iterable

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from monai_transfer.errors import InputError
from monai_transfer.training.losses import loss_of


class StayFinite:
    """End a training with an InputError at a loss, gradient or weight that is not finite.

    The loss and the gradient are looked at before the optimiser's step, so that they never reach
    the weights; weights and buffers after it.

    Args:
        network: that is trained.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Watch every step of a MONAI trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._loss)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._gradient)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._weights)

    def _loss(self, engine: Engine) -> None:
        loss = loss_of(engine)
        if not math.isfinite(loss):
            raise wild(engine, "loss", loss)

    def _gradient(self, engine: Engine) -> None:
        if getattr(engine, "scaler", None) is not None:
            return  # a scaled gradient may overflow: the scaler leaves that step out
        named = self.network.named_parameters()
        name = first_wild((name, p.grad) for name, p in named if p.grad is not None)
        if name is not None:
            raise wild(engine, "gradient", name)

    def _weights(self, engine: Engine) -> None:
        name = first_wild(self.network.state_dict().items())
        if name is not None:
            raise wild(engine, "weights", name)


def first_wild(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """Name of the first tensor that holds a value that is not finite; ``None`` if all are.

    Args:
        named: names and tensors; those of whole numbers are passed over.

    Example:
        >>> first_wild([("a", torch.ones(2)), ("b", torch.tensor([1.0, torch.nan]))])
        'b'
    """
    floating = {name: t.detach() for name, t in named if t.is_floating_point()}
    if not floating or torch.isfinite(get_total_norm(list(floating.values()))):
        return None  # one number to wait for instead of one for each tensor
    wild = (name for name, tensor in floating.items() if not torch.isfinite(tensor).all())
    return next(wild, None)


def wild(
    engine: Engine, what: str, got: object, *, kind: type[InputError] = InputError
) -> InputError:
    """The error that ends a training at a value that is not finite.

    Args:
        engine: the trainer, in its step.
        what: loss, gradient or weights, and whose.
        got: the value, or the name of the tensor that holds it.
        kind: of the error.
    """
    where = f"training, epoch {engine.state.epoch}, step {engine.state.iteration}"
    todo = "Nothing is published. Lower --learning_rate."
    return kind(where, what, "stay finite", got=got, todo=todo)
