"""What a network says about itself so that a strategy can name its parts."""

from typing import Protocol, runtime_checkable

from torch import nn

from monai_transfer.errors import InputError


@runtime_checkable
class PartedNetwork(Protocol):
    """A network whose direct children are its parts.

    Attributes:
        parts: names of the direct children, in execution order; together they hold every
            parameter and buffer of the network.
        input_layer: dotted name of the layer that sees the image channels first.
        output_layer: dotted name of the layer that gives the logits.
    """

    parts: tuple[str, ...]
    input_layer: str
    output_layer: str


def require_parts(network: nn.Module) -> PartedNetwork:
    """The same network, known to declare its parts.

    Raises:
        InputError: it does not.
    """
    if isinstance(network, PartedNetwork):
        return network
    name = type(network).__name__
    raise InputError(name, "network", "declare `parts`, `input_layer` and `output_layer`")


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
