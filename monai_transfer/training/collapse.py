"""An adversarial training ends when one of its two networks has died."""

from collections.abc import Callable, Mapping
from typing import Any

from ignite.engine import Engine, Events
from monai.utils.enums import AdversarialIterationEvents, AdversarialKeys
from torch import Tensor
from torch.nn.utils import get_total_norm

from monai_transfer.errors import InputError
from monai_transfer.training.adversarial import trained_parameters, unwrapped
from monai_transfer.training.finite import first_wild, wild
from monai_transfer.training.status import CollapseError

SAME = 1e-3
"""Outputs whose spread is a smaller share of the truth's are one output."""

_EVENTS = AdversarialIterationEvents
_FINITE: Mapping[AdversarialIterationEvents, Mapping[str, str]] = {
    _EVENTS.GENERATOR_DISCRIMINATOR_FORWARD_COMPLETED: {
        AdversarialKeys.FAKES: "{g}'s output",
        AdversarialKeys.FAKE_LOGITS: "{d}'s output",
    },
    _EVENTS.GENERATOR_LOSS_COMPLETED: {
        AdversarialKeys.RECONSTRUCTION_LOSS: "reconstruction loss",
        AdversarialKeys.GENERATOR_LOSS: "{g}'s loss",
    },
    _EVENTS.DISCRIMINATOR_FAKES_FORWARD_COMPLETED: {
        AdversarialKeys.REAL_LOGITS: "{d}'s output",
        AdversarialKeys.FAKE_LOGITS: "{d}'s output",
    },
    _EVENTS.DISCRIMINATOR_LOSS_COMPLETED: {
        AdversarialKeys.DISCRIMINATOR_LOSS: "{d}'s loss",
    },
}
"""What must be finite by then: on a GPU, cross entropy of what is not is the end of the process."""


class StayAlive:
    """End an adversarial training as collapsed when it is no longer one.

    At once at an output, loss, gradient or weight of either network that is not finite, as
    :class:`~monai_transfer.training.StayFinite` does for one network: all but the
    weights before they reach them. After `patience` steps in a row in which

    - a network that is trained had no gradient: all its units are dead or saturated;
    - or the generator's output was the same whatever the image: its spread, over the images of the
      batch, was below :data:`SAME` of the truth's. In a batch of one it is the spread over the
      image. A batch in which the truth itself has no spread says nothing.

    A discriminator that is always right has not died: the generator still learns from it.

    Args:
        patience: steps in a row.
        generator: what messages call the network that gives the output.
        discriminator: likewise, the other one.

    Raises:
        InputError: a patience below 1.

    Source:
        Ours. That training without the Dice term is unstable is Giacomello 2020's figure 2; what
        collapse is, no paper here says.
    """

    def __init__(
        self,
        patience: int = 100,
        *,
        generator: str = "generator",
        discriminator: str = "discriminator",
    ) -> None:
        if patience < 1:
            raise InputError("collapse", "patience", "be at least 1", got=patience)
        self.patience, self.names = patience, {"g": generator, "d": discriminator}
        self.steps: dict[str, int] = {}
        self._watched: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Watch every step of an :class:`~monai_transfer.training.AdversarialTrainer`."""
        engine.add_event_handler(Events.STARTED, self._watch)  # MONAI adds its own events last
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)

    def state_dict(self) -> dict[str, int]:
        """For a checkpoint: how long each has lasted."""
        return dict(self.steps)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a checkpoint."""
        self.steps = dict(state)

    def _watch(self, engine: Engine) -> None:
        if self._watched is engine:
            return  # run a second time
        self._watched = engine
        state: Any = engine.state
        for event, named in _FINITE.items():
            what = {key: name.format(**self.names) for key, name in named.items()}
            engine.add_event_handler(event, _require_finite, what)
        # MONAI tells of the discriminator's gradient under amp only; its optimiser always does
        for key, name in self.names.items():
            optimizer = getattr(state, f"{key}_optimizer")
            optimizer.register_step_pre_hook(self._gradients(engine, f"{key}_network", name))

    def _gradients(self, engine: Engine, key: str, name: str) -> Callable[..., None]:
        def check(*_unused: object) -> None:
            network = unwrapped(getattr(engine.state, key))
            trained = trained_parameters(network)
            if not trained:
                return  # frozen
            found = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
            where = first_wild(found.items())
            if where is not None:
                raise wild(engine, f"{name}'s gradient", where, kind=CollapseError)
            dead = not found or float(get_total_norm(list(found.values()))) == 0
            self._count(engine, f"the {name}'s gradient", "be other than 0", lasts=dead)

        return check

    def _step(self, engine: Engine) -> None:
        state: Any = engine.state
        for key, name in self.names.items():
            network = unwrapped(getattr(state, f"{key}_network"))
            where = first_wild(network.state_dict().items())
            if where is not None:
                raise wild(engine, f"{name}'s weights", where, kind=CollapseError)
        output, truth = (_spread(state.output[key]) for key in ("pred", "label"))
        if truth > 0:
            same = output < SAME * truth
            self._count(
                engine, f"the {self.names['g']}'s output", "depend on the image", lasts=same
            )

    def _count(self, engine: Engine, what: str, rule: str, *, lasts: bool) -> None:
        self.steps[what] = self.steps.get(what, 0) + 1 if lasts else 0
        if self.steps[what] < self.patience:
            return
        where = f"training, epoch {engine.state.epoch}, step {engine.state.iteration}"
        got = f"the contrary in {self.patience} steps in a row"
        todo = "The training has collapsed and nothing is published. Lower --learning_rate."
        raise CollapseError(where, what, rule, got=got, todo=todo)


def _require_finite(engine: Engine, named: Mapping[str, str]) -> None:
    output: Any = engine.state.output
    for key, name in named.items():
        if first_wild([(key, output[key])]) is not None:
            raise wild(engine, name, _value(output[key]), kind=CollapseError)


def _value(tensor: Tensor) -> str | float:
    return tensor.item() if tensor.numel() == 1 else "values that are not"


def _spread(images: Tensor) -> float:
    """Root mean square deviation from the batch's mean image; of a batch of one, from its mean."""
    values = images.detach().float()
    mean = values.mean(dim=0, keepdim=True) if len(values) > 1 else values.mean()
    return float(values.sub(mean).square().mean().sqrt())
