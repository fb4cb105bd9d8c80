"""What frozen means: no gradient, no optimiser step, eval mode for good, and the proof of it."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from monai_transfer.errors import InputError
from monai_transfer.networks.parts import PartedNetwork

_Module = TypeVar("_Module", bound=nn.Module)

NORM_LAYERS = (
    _NormBase,  # batch norm
    _InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
"""Classes of norm layers."""


@cache
def _frozen_class(cls: type[nn.Module]) -> type[nn.Module]:
    """Subclass of a module class that every ``.train()`` leaves in eval mode.

    PyTorch's own parametrisations inject a class in the same way: unlike a hook or an attribute
    on the instance it survives ``copy.deepcopy`` and is visible in ``type(module)``.
    """

    def train(self: nn.Module, mode: bool = True) -> nn.Module:  # noqa: FBT001, FBT002 - torch's
        del mode
        return cls.train(self, False)

    return type(f"Frozen{cls.__name__}", (cls,), {"train": train, "is_frozen": True})


def freeze(module: _Module) -> _Module:
    """Freeze a module in place: parameters, buffers, norm statistics and dropout.

    Its parameters take no gradient; it and everything below it stay in eval mode across every
    ``.train()``, so that batch norm neither updates its statistics nor normalises by the batch,
    and dropout is off.

    Args:
        module: any module; freezing it twice changes nothing.

    Returns:
        The same module.

    Source:
        Eval mode rather than ``requires_grad`` alone: a 'fully frozen' network whose batch norm
        was left training moved its outputs after one forward pass (see "What frozen means").

    Example:
        >>> norm = freeze(nn.BatchNorm1d(2))
        >>> norm.train().training
        False
    """
    for child in module.modules():
        if not getattr(child, "is_frozen", False):
            child.__class__ = _frozen_class(type(child))  # type: ignore[arg-type]
        child.training = False
    module.requires_grad_(False)
    return module


def plain_class(module: nn.Module) -> type[nn.Module]:
    """The class that a module had before it was frozen.

    Example:
        >>> plain_class(freeze(nn.Linear(1, 1))).__name__
        'Linear'
    """
    return type(module).__mro__[1] if getattr(module, "is_frozen", False) else type(module)


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers that a module holds itself, not in a submodule."""
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def freeze_own(module: nn.Module, names: Collection[str]) -> None:
    """Freeze some of the tensors that a module holds itself; the module goes on training.

    Args:
        module: not frozen as a whole.
        names: of its own parameters and buffers.
    """
    if not names:
        return
    for name, tensor in own_tensors(module):
        if name in names and isinstance(tensor, nn.Parameter):
            tensor.requires_grad_(False)
    held: frozenset[str] = getattr(module, "frozen_own", frozenset())
    vars(module)["frozen_own"] = held.union(names)  # a plain attribute: copied with the module


def freeze_norms(network: nn.Module) -> None:
    """Freeze every norm layer of a network, its affine parameters included."""
    for module in list(network.modules()):
        if isinstance(module, NORM_LAYERS):
            freeze(module)


def frozen_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values of every parameter and buffer that is frozen, in state-dict order."""
    frozen = set()
    for module in network.modules():
        whole, some = getattr(module, "is_frozen", False), getattr(module, "frozen_own", ())
        frozen |= {id(tensor) for name, tensor in own_tensors(module) if whole or name in some}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if id(tensor) in frozen:  # under each name that it has
            yield name, tensor


def digest(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """SHA-256 of each tensor's bytes, dtype and shape.

    Args:
        tensors: names and values, as from :func:`frozen_tensors`.

    Example:
        >>> digest([("w", torch.zeros(2))]) == digest([("w", torch.zeros(2).double())])
        False
    """
    digests = {}
    for name, tensor in tensors:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        content = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        content.update(flat.view(torch.uint8).numpy().tobytes())
        digests[name] = content.hexdigest()
    return digests


def verify_frozen(network: nn.Module, before: Mapping[str, str]) -> None:
    """Prove that what was frozen is still bit-identical and still frozen.

    Args:
        network: the network after training.
        before: :func:`digest` of its :func:`frozen_tensors` before training.

    Raises:
        InputError: a frozen tensor changed, or is no longer frozen.
    """
    after = digest(frozen_tensors(network))
    changed = sorted(name for name in before if after.get(name) != before[name])
    if changed:
        raise InputError(
            type(network).__name__,
            f"{len(changed)} frozen tensor(s)",
            "be bit-identical after training",
            got=", ".join(changed[:5]),
            todo="Something wrote to them or unfroze them during training.",
        )


def parameter_groups(
    network: nn.Module,
    learning_rate: float,
    *,
    rates: Mapping[str, float] | None = None,
    depth: Mapping[str, tuple[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """Optimiser groups of the parameters that are trained, one per part or one per layer.

    Frozen parameters are left out, so that neither weight decay nor momentum reaches them.

    Args:
        network: network whose direct children are its parts.
        learning_rate: rate of a part without an entry in `rates`.
        rates: multipliers by part name; ``None`` means 1 everywhere.
        depth: name and multiplier of each tensor's layer, as from
            :func:`~monai_transfer.transfer.layers.layer_rates`; ``None`` groups by part.

    Raises:
        InputError: nothing is left to train.

    Example:
        >>> net = nn.Sequential(freeze(nn.Linear(1, 1)), nn.Linear(1, 1))
        >>> [(g["name"], g["lr"]) for g in parameter_groups(net, 0.1)]
        [('1', 0.1)]
    """
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    parted = isinstance(network, PartedNetwork)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            part = name.split(".", 1)[0]
            group, multiplier = (part, 1.0) if depth is None else depth[name]
            if parted and group.split(".", 1)[0] != part:  # never run: as deep as the last layer
                group = part
            rate = learning_rate * (rates or {}).get(part, 1.0) * multiplier
            groups.setdefault((group, rate), []).append(parameter)
    if not groups:
        rule = "leave at least one parameter to train"
        todo = "Tune a layer at least. As it is, evaluate it; adabn has a config of its own, "
        todo += "adabn.json, to lay over train.json."
        raise InputError(plain_class(network).__name__, "strategy", rule, todo=todo)
    return [{"params": held, "lr": rate, "name": name} for (name, rate), held in groups.items()]
