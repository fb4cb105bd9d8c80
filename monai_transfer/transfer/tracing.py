"""In which order a network's modules run and its tensors are used, seen while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from monai_transfer.transfer.freeze import NORM_LAYERS, own_tensors

_ACTIVATIONS = ("torch.nn.modules.activation", "monai.networks.blocks.activation")
"""Modules of classes that are activations, attention left out."""


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's or MONAI's activations."""
    return not isinstance(module, nn.MultiheadAttention) and any(
        base.__module__ in _ACTIVATIONS for base in type(module).__mro__
    )


class Trace(TorchFunctionMode):
    """What is seen of a network while it runs once.

    Its units are modules taken whole (without submodules; attention; one whose weights are
    parametrised) and the tensors that any other module holds itself. Modules are seen by hooks,
    and tensors that are used without a call of their module in the arguments of torch's functions.

    Args:
        network: the one to run.

    Attributes:
        whole: the modules that are taken whole, by name.
        layers: names of those that are layers, in the order of their first use.
        place: layer that each used unit belongs to, from 1; what comes before the first is its.
        runs: each run of a whole module: the layer it was in, and its name.
        shapes: shape of the first output of each module that ran.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.whole: dict[str, nn.Module] = {}
        self.layers: list[str] = []
        self.place: dict[str, int] = {}
        self.runs: list[tuple[int, str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._units: dict[int, str] = {}  # id of a module or tensor → its unit; by registration
        inside: set[nn.Module] = set()
        for name, module in network.named_modules():
            if module in inside:
                continue
            if _is_whole(module):
                inside.update(module.modules())
                self.whole[name] = module
                for held in (*module.modules(), *module.parameters(), *module.buffers()):
                    self._units.setdefault(id(held), name)
            else:
                for own, tensor in own_tensors(module):
                    self._units.setdefault(id(tensor), f"{name}.{own}".lstrip("."))

    def unit(self, held: nn.Module | Tensor) -> str | None:
        """The unit that a module or tensor of the network is in; ``None`` for an outer module."""
        return self._units.get(id(held))

    def units(self) -> list[str]:
        """All units that hold tensors, in the order of registration."""
        held = (name for name in self._units.values())
        return [n for n in dict.fromkeys(held) if n not in self.whole or _holds(self.whole[n])]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the network run within; it runs in evaluation mode and keeps its own modes."""
        modes = {module: module.training for module in self.network.modules()}
        hooks = [hook for name, module in self.whole.items() for hook in self._hook(name, module)]
        self.network.eval()
        try:
            with torch.no_grad(), self:
                yield
        finally:
            for hook in hooks:
                hook.remove()
            for module, mode in modes.items():
                module.training = mode

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if any(isinstance(value, Tensor) for value in tree_leaves(result)):  # no size or type
            for value in tree_leaves((args, kwargs)):
                if isinstance(value, Tensor) and id(value) in self._units:
                    self._use(self._units[id(value)])
        return result

    def _hook(self, name: str, module: nn.Module) -> list[Any]:
        def before(module: nn.Module, inputs: Any) -> None:
            del inputs
            if _holds(module):
                self._use(name)
            self.runs.append((max(len(self.layers), 1), name))

        def after(module: nn.Module, inputs: Any, output: Any) -> None:
            del module, inputs
            for value in tree_leaves(output):
                if isinstance(value, Tensor):
                    self.shapes.setdefault(name, tuple(value.shape))

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _use(self, unit: str) -> None:
        if unit in self.place:
            return
        module = self.whole.get(unit)
        is_norm = isinstance(module, NORM_LAYERS)
        if module is not None and not is_norm and not is_activation(module) and _learns(module):
            self.layers.append(unit)
        self.place[unit] = max(len(self.layers), 1)


def _is_whole(module: nn.Module) -> bool:
    leaf = next(module.children(), None) is None
    return leaf or isinstance(module, nn.MultiheadAttention) or is_parametrized(module)


def _learns(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _holds(module: nn.Module) -> bool:
    return _learns(module) or next(module.buffers(), None) is not None
