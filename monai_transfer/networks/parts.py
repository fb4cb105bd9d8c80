"""What a network says about itself so that a strategy can name its parts."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from torch import nn

from monai_transfer.errors import InputError


@runtime_checkable
class PartedNetwork(Protocol):
    """A network whose direct children are its parts.

    Attributes:
        parts: names of the direct children, in execution order; together they hold every
            parameter and buffer of the network.
        input_layers: dotted name of each layer that sees the image's channels first → how many
            channels it is shown after them that hold something else, such as a mask.
        output_layer: dotted name of the layer that gives the logits.

    It may also declare what :func:`example_shape` gives, and `strategies`: the name of a strategy →
    the one that it means for this network.
    """

    parts: tuple[str, ...]
    input_layers: Mapping[str, int]
    output_layer: str


def example_shape(network: nn.Module) -> tuple[int, ...] | None:
    """Sizes (channels, ...) of a small image that a network takes, if it declares any.

    Depth is found by running a network once. One that declares `example_shape`, parts or not, is
    run on such an image; for any other an example is asked for.

    Example:
        >>> from monai_transfer.networks import PathologyUNet
        >>> example_shape(PathologyUNet(4, 2)), example_shape(nn.Linear(1, 1))
        ((4, 16, 16, 16), None)
    """
    declared: tuple[int, ...] | None = getattr(network, "example_shape", None)
    return declared


def require_parts(network: nn.Module) -> PartedNetwork:
    """The same network, known to declare its parts.

    Raises:
        InputError: it does not.
    """
    if isinstance(network, PartedNetwork):
        return network
    name = type(network).__name__
    raise InputError(name, "network", "declare `parts`, `input_layers` and `output_layer`")


def part_of(network: nn.Module, tensor_name: str) -> str:
    """Name of the part that a parameter or buffer belongs to.

    Args:
        network: a :class:`PartedNetwork`.
        tensor_name: a key of its ``state_dict()``.

    Raises:
        InputError: the network declares no parts, or none holds the tensor.

    Example:
        >>> from monai_transfer.networks import PathologyUNet
        >>> part_of(PathologyUNet(4, 2), "head.output.bias")
        'head'
    """
    parts = require_parts(network).parts
    part = tensor_name.split(".", 1)[0]
    if part not in parts:
        name = type(network).__name__
        raise InputError(name, f"tensor {tensor_name}", f"lie in one of {', '.join(parts)}")
    return part
