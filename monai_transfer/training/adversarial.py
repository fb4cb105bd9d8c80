"""Two networks against each other, on MONAI's adversarial trainer.

The generator gives an image's counterpart (its reconstruction, its segmentation); the discriminator
is shown the image beside that counterpart, or beside the true one. What the two are is the
config's; what they are asked and what they learn by is in ``autoencoding`` and ``segan``.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import monai.engines
import torch
from monai.engines.utils import PrepareBatch
from monai.utils.enums import AdversarialKeys, CommonKeys
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parallel import DataParallel, DistributedDataParallel

LOSSES = {
    "loss": CommonKeys.LOSS,
    "reconstruction_loss": AdversarialKeys.RECONSTRUCTION_LOSS,
    "generator_loss": AdversarialKeys.GENERATOR_LOSS,
    "discriminator_loss": AdversarialKeys.DISCRIMINATOR_LOSS,
}
"""Name → key in the output of a step; ``loss`` is the generator's whole."""


class AdversarialTrainer(monai.engines.AdversarialTrainer):
    """MONAI's adversarial trainer, whose state is one and whose steps tell their loss.

    The generator's step, then the discriminator's, are MONAI's own. MONAI's state holds the
    networks and optimisers themselves, which a file of plain tensors cannot, and of these its
    ``load_state_dict`` would put others in the place of those that are trained. Here it holds
    their states: the discriminator, both optimisers, both gradient scalers where there are any. The
    generator is the run's network, which :class:`~monai_transfer.training.Checkpoint` keeps.

    A step's output holds ``loss``, which MONAI gives under ``amp`` only, and none of its tensors
    keeps the step's graph alive.

    Arguments are those of :class:`monai.engines.AdversarialTrainer`.

    Source:
        Goodfellow 2014, arXiv:1406.2661, in MONAI's form: one step each.
    """

    def _complete_state_dict_user_keys(self) -> None:
        """Nothing of MONAI's: see :meth:`state_dict`."""

    def states(self) -> dict[str, Any]:
        """What of this trainer has a state, by name; networks without DDP's wrapper."""
        state: Any = self.state
        optimizers = {"g_optimizer": state.g_optimizer, "d_optimizer": state.d_optimizer}
        scalers = {"g_scaler": state.g_scaler, "d_scaler": state.d_scaler}
        held = {"d_network": unwrapped(state.d_network), **optimizers, **scalers}
        return {name: thing for name, thing in held.items() if thing is not None}

    def state_dict(self) -> Any:
        """For a checkpoint: where the training is, and the states of :meth:`states`."""
        held = {name: thing.state_dict() for name, thing in self.states().items()}
        return super().state_dict() | {"adversarial": held}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "adversarial"})
        for name, thing in self.states().items():
            thing.load_state_dict(state_dict["adversarial"][name])

    def _iteration(
        self, engine: monai.engines.AdversarialTrainer, batchdata: dict[str, Tensor]
    ) -> dict[str, Any]:
        output: Any = super()._iteration(engine, batchdata)
        parts = (AdversarialKeys.RECONSTRUCTION_LOSS, AdversarialKeys.GENERATOR_LOSS)
        output[CommonKeys.LOSS] = sum(output[key] for key in parts)
        return {key: value.detach() for key, value in output.items()}


def unwrapped(network: nn.Module) -> nn.Module:
    """A network without the wrapper of data parallelism."""
    parallel = isinstance(network, DataParallel | DistributedDataParallel)
    inner: nn.Module = network.module if parallel else network  # type: ignore[assignment]
    return inner


def constant(network: nn.Module) -> Callable[..., Any]:
    """A network as a function whose weights take no gradient: for what learns through it.

    Without the wrapper of data parallelism, for there is nothing to gather. Batch norm goes on.

    Args:
        network: as it is called.

    Example:
        >>> layer, image = nn.Linear(1, 1), torch.ones(1, 1, requires_grad=True)
        >>> constant(layer)(image).backward()
        >>> layer.weight.grad is None, torch.equal(image.grad, layer.weight)
        (True, True)
    """
    inner = unwrapped(network)
    weights = {name: weight.detach() for name, weight in inner.named_parameters()}

    def call(*args: Any) -> Any:
        return functional_call(inner, weights, args)

    return call


def data_parallel(
    network: nn.Module, device: torch.device, *, broadcast_buffers: bool = True
) -> nn.Module:
    """A network that processes train together; one that is frozen as it is, which DDP refuses.

    Args:
        network: on the device already.
        device: of this process.
        broadcast_buffers: ``False`` for one that is run twice before it learns, as a discriminator.

    Example:
        >>> data_parallel(nn.Linear(1, 1).requires_grad_(False), torch.device("cpu"))
        Linear(in_features=1, out_features=1, bias=True)
    """
    if not trained_parameters(network):
        return network
    ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=ids, broadcast_buffers=broadcast_buffers)


def adversarial_losses(output: Mapping[str, Any]) -> dict[str, float]:
    """The losses of a step by name, as TensorBoard's handler takes them.

    Args:
        output: of a step of :class:`AdversarialTrainer`.

    Example:
        >>> adversarial_losses({key: torch.tensor(0.5) for key in LOSSES.values()})["loss"]
        0.5
    """
    return {name: float(output[key]) for name, key in LOSSES.items()}


class PrepareConditionalBatch(PrepareBatch):
    """Of a batch, what is true, and the image that both networks are shown.

    MONAI's trainer hands the true counterpart to the discriminator as ``reals`` and to the
    reconstruction loss as the target; image and true counterpart go to both inferers by name.

    Args:
        real: key of the true counterpart: ``image`` for an auto-encoder, ``label`` for a
            segmentation.

    Example:
        >>> batch = {"image": torch.ones(1, 2, 4, 4), "label": torch.zeros(1, 1, 4, 4)}
        >>> real, target, _, shown = PrepareConditionalBatch("label")(batch)
        >>> real.shape, target is real, shown["image"].shape
        (torch.Size([1, 1, 4, 4]), True, torch.Size([1, 2, 4, 4]))
    """

    def __init__(self, real: str = "image") -> None:
        self.real = real

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,  # noqa: FBT001, FBT002 - MONAI's
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Tensor]]:
        """(real, target, no more positions, image and real by name), float, on the device."""

        def moved(key: str) -> Tensor:
            value = torch.as_tensor(batchdata[key]).as_subclass(Tensor)
            return value.to(device=device, non_blocking=non_blocking, **kwargs).float()

        image = moved("image")
        real = image if self.real == "image" else moved(self.real)
        return real, real, (), {"image": image, "real": real}


def trained_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of a network that take a gradient; none of a frozen one."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def of_parts(groups: Iterable[Mapping[str, Any]], *parts: str) -> list[dict[str, Any]]:
    """Those of an adaptation's parameter groups that belong to some of its parts.

    Args:
        groups: of :meth:`~monai_transfer.transfer.Adaptation.parameter_groups`, a
            part's or a layer's each.
        parts: whose groups are wanted.

    Returns:
        The groups; of frozen parts one empty group, which an optimiser takes and leaves alone.

    Example:
        >>> of_parts([{"name": "segmentor", "params": [], "lr": 0.1}], "critic")
        [{'name': 'critic', 'params': []}]
    """
    found = [dict(group) for group in groups if group["name"].split(".", 1)[0] in parts]
    return found or [{"name": ", ".join(parts), "params": []}]
