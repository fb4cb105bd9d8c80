"""The depth of any network: its layers, in the order in which they run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks.parts import example_shape
from monai_transfer.transfer.freeze import NORM_LAYERS, freeze, freeze_own, own_tensors, plain_class
from monai_transfer.transfer.tracing import Trace, is_activation

Example = Tensor | Sequence[int] | None
"""An input (B, channels, ...), its sizes without B, or what the network declares (``None``)."""


@dataclass(frozen=True)
class Layer:
    """One step of a network's depth: a module with weights, and all that runs until the next one.

    Norm, activation, dropout and pooling between it and the next layer belong to it. So do the
    tensors that a module with submodules holds itself, such as position embeddings, if they are
    first used there.

    Args:
        index: its place in the order of execution, from 1.
        name: dotted name of its module.
        kind: class of its module.
        norms: names of the norm layers that run before the next layer.
        activations: names of the activations likewise.
        modules: names of all modules that belong to it, those around them left out.
        tensors: state-dict names of its parameters and buffers, under each name they have.
        parameters: values in its parameters; over all layers, the network's.
        output_shape: (B, ...) of what its module returned; ``None`` where only its weights were
            used, without a call.
        unused: modules or tensors that were not used at all, and belong to it because it comes
            before them in the order of registration.
    """

    index: int
    name: str
    kind: str
    norms: tuple[str, ...]
    activations: tuple[str, ...]
    modules: tuple[str, ...]
    tensors: tuple[str, ...]
    parameters: int
    output_shape: tuple[int, ...] | None
    unused: tuple[str, ...]


def trace_layers(network: nn.Module, example: Example = None) -> tuple[Layer, ...]:
    """The layers of any network, found by running it once in evaluation mode.

    A layer is a module that holds parameters and no submodules (attention is taken whole) and is
    neither a norm nor an activation. Its place is that of its first use, however often it is used
    and in whatever order modules were registered. Every parameter and buffer belongs to exactly one
    layer. The network is left as it was.

    Args:
        network: any, frozen in part or not.
        example: an input (B, channels, ...), or its sizes without B; ``None`` takes the
            ``example_shape`` that the network declares.

    Returns:
        The layers, the shallowest first.

    Raises:
        InputError: no example, one that the network does not run on, or no layer.

    Source:
        Ghafoorian 2017 counts convolutions and dense layers, each with its batch norm and ReLU.
        What that means for skips, shared modules and attention is ours ("Depth on any network").

    Example:
        >>> block = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
        >>> for layer in trace_layers(nn.Sequential(block, nn.Conv2d(2, 1, 1)), (1, 5, 5)):
        ...     print(layer.index, layer.name, layer.norms, layer.parameters, layer.output_shape)
        1 0.0 ('0.1',) 24 (1, 2, 3, 3)
        2 1 () 3 (1, 1, 3, 3)
    """
    where, image = type(network).__name__, _example(network, example)
    trace = Trace(network)
    try:
        with trace.watching():
            network(image)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        got = f"{tuple(image.shape)} ({type(error).__name__}: {reason})"
        raise InputError(where, "example", "be an input that it runs on", got=got) from error
    if not trace.layers:
        raise InputError(where, "network", "have a layer with parameters")
    return _layers(network, trace)


def _example(network: nn.Module, example: Example) -> Tensor:
    if isinstance(example, Tensor):
        return example
    shape = example_shape(network) if example is None else example
    if shape is None:
        rule = "be given, for the network declares no `example_shape`"
        todo = "Name the sizes of an input: channels and voxels along each axis."
        raise InputError(type(network).__name__, "example", rule, todo=todo)
    like = next(network.parameters(), torch.empty(0))
    return torch.zeros(1, *shape, dtype=like.dtype, device=like.device)


def _layers(network: nn.Module, trace: Trace) -> tuple[Layer, ...]:
    unused = _unused(trace)
    last_runs = {name: during for during, name in trace.runs}  # of what holds no tensors
    place = {**last_runs, **trace.place, **unused}

    def by_layer(named: Iterable[tuple[str, Any]]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for name, held in named:
            found.setdefault(place.get(str(trace.unit(held)), 0), []).append(name)
        return found

    modules = by_layer(network.named_modules(remove_duplicate=False))
    tensors = by_layer(network.state_dict(keep_vars=True).items())
    parameters, sizes = dict(network.named_parameters()), {}
    for index, names in by_layer(parameters.items()).items():
        sizes[index] = sum(parameters[name].numel() for name in names)
    layers = []
    for index, name in enumerate(trace.layers, start=1):
        ran = list(dict.fromkeys(n for during, n in trace.runs if during == index))
        layers.append(
            Layer(
                index,
                name,
                plain_class(trace.whole[name]).__name__,
                tuple(n for n in ran if isinstance(trace.whole[n], NORM_LAYERS)),
                tuple(n for n in ran if is_activation(trace.whole[n])),
                tuple(modules.get(index, ())),
                tuple(tensors.get(index, ())),
                sizes.get(index, 0),
                trace.shapes.get(name),
                tuple(unit for unit, owner in unused.items() if owner == index),
            )
        )
    return tuple(layers)


def _unused(trace: Trace) -> dict[str, int]:
    """Units with tensors that were not used → the layer that comes before them by registration."""
    unused, last = {}, 1
    for unit in trace.units():
        if unit in trace.place:
            last = trace.place[unit]
        else:
            unused[unit] = last
    return unused


def layer_rates(layers: Sequence[Layer], decay: float) -> dict[str, tuple[str, float]]:
    """Learning-rate multipliers that fall with the distance from the last layer.

    Args:
        layers: all of a network's.
        decay: the last layer's multiplier is 1, and each other's is this times the next one's.

    Returns:
        Tensor → name of its layer, and multiplier.

    Example:
        >>> two = trace_layers(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), [1])
        >>> layer_rates(two, 0.5)["0.weight"], layer_rates(two, 0.5)["1.weight"]
        (('0', 0.5), ('1', 1.0))
    """
    return {
        tensor: (layer.name, decay ** (len(layers) - layer.index))
        for layer in layers
        for tensor in layer.tensors
    }


def freeze_layers(network: nn.Module, layers: Sequence[Layer], count: int) -> None:
    """Freeze the shallowest layers in place: tensors, norm statistics and dropout.

    A module around layers is frozen with the last of them.

    Args:
        network: the one that was traced.
        layers: all of its layers.
        count: how many to freeze, from the first.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 1))
        >>> freeze_layers(network, trace_layers(network, [2]), 1)
        >>> [module.training for module in network.train()]
        [False, False, True]
    """
    frozen = {name for layer in layers[:count] for name in layer.tensors}
    deepest = {  # module → the last layer that it holds something of
        outer: layer.index
        for layer in layers
        for name in (*layer.tensors, *layer.modules)
        for outer in _and_outer(name)
    }
    for name, module in list(network.named_modules()):
        if getattr(module, "is_frozen", False):  # with one around it
            continue
        if 0 < deepest.get(name, 0) <= count:
            freeze(module)
        else:
            own = [own for own, _ in own_tensors(module) if f"{name}.{own}".lstrip(".") in frozen]
            freeze_own(module, own)


def _and_outer(name: str) -> Iterator[str]:
    """A dotted name, and the names of all that it is in.

    Example:
        >>> list(_and_outer("a.b"))
        ['', 'a', 'a.b']
    """
    yield ""
    words = name.split(".")
    for length in range(1, len(words) + 1):
        yield ".".join(words[:length])
