"""Gradual unfreezing: a network is trained from its last layers on, deeper with every epoch."""

import ignite.distributed as idist
from ignite.engine import Engine, Events

from monai_transfer.errors import InputError
from monai_transfer.transfer import Adaptation, freeze_layers, trace_layers
from monai_transfer.transfer.freeze import plain_class
from monai_transfer.transfer.layers import Example


class GradualUnfreezing:
    """Train the last layers first, and more of them each epoch.

    In epoch e the last ``start + per_epoch·(e − 1)`` layers are trained, and those before them are
    frozen as :func:`~monai_transfer.transfer.freeze_layers` means it. What the strategy itself
    freezes stays frozen and is proved as ever. The optimiser has all groups from the beginning; it
    makes no step on a parameter without a gradient. The epoch alone says what is trained, so that
    a run that goes on needs nothing kept of this.

    Args:
        adaptation: of the network, its layers traced if its strategy refers to the depth.
        start: layers trained in the first epoch.
        per_epoch: layers more in each of the next.
        example: to trace the layers where that has not been done; ``None`` is what the network
            declares.

    Raises:
        InputError: a number below 1.

    Source:
        Howard and Ruder 2018 (ULMFiT), arXiv:1801.06146, section 3.3: the last layer first, then
        one more each epoch. Frozen norm statistics are ours.
    """

    def __init__(
        self,
        adaptation: Adaptation,
        *,
        start: int = 1,
        per_epoch: int = 1,
        example: Example = None,
    ) -> None:
        for name, value in (("start", start), ("per_epoch", per_epoch)):
            if value < 1:
                raise InputError("gradual unfreezing", name, "be at least 1", got=value)
        self.network = adaptation.network
        self.layers = adaptation.layers or trace_layers(self.network, example)
        self.start, self.per_epoch = start, per_epoch
        self._trainable = [p for p in self.network.parameters() if p.requires_grad]
        self._unfrozen = [m for m in self.network.modules() if not hasattr(m, "is_frozen")]
        self._own = {m: vars(m).get("frozen_own", frozenset()) for m in self._unfrozen}

    def attach(self, engine: Engine) -> None:
        """Unfreeze at the beginning of each of the trainer's epochs.

        Raises:
            InputError: several processes, which agree on what has gradients once, at the start.
        """
        if idist.get_world_size() > 1:
            got = f"{idist.get_world_size()} processes"
            raise InputError("gradual unfreezing", "the run", "be of one process", got=got)
        engine.add_event_handler(Events.EPOCH_STARTED, lambda e: self.begin(e.state.epoch))

    def trained(self, epoch: int) -> int:
        """Number of the last layers that are trained in an epoch, counted from 1."""
        return min(self.start + self.per_epoch * (epoch - 1), len(self.layers))

    def begin(self, epoch: int) -> None:
        """Freeze and unfreeze what an epoch asks for."""
        self._restore()
        freeze_layers(self.network, self.layers, len(self.layers) - self.trained(epoch))
        for parameter in self._trainable:
            if not parameter.requires_grad:
                parameter.grad = None  # a step would follow it, and momentum with it

    def _restore(self) -> None:
        """What is frozen is again what it was before the training."""
        for module in self._unfrozen:
            module.__class__ = plain_class(module)
            vars(module)["frozen_own"] = self._own[module]
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        self.network.train(self.network.training)
