"""What a network refuses: counts it cannot be built of, images it cannot take."""

import math

import torch
from torch import Tensor

from monai_transfer.errors import InputError


def require_counts(network: str, **counts: int) -> None:
    """Refuse channels, filters or the like below 1.

    Raises:
        InputError: naming the first of them.
    """
    for name, value in counts.items():
        if value < 1:
            raise InputError(network, name, "be at least 1", got=value)


def require_image(
    network: str, image: Tensor, *, channels: int, divisor: int, training: bool = False
) -> None:
    """Refuse an image that is no ``(B, channels, X, Y)`` with sides that the divisor divides.

    Args:
        network: its name.
        image: that it is given.
        channels: that it takes.
        divisor: voxels of the image to one of its coarsest features, on either axis.
        training: whether its batch norms take their statistics from the batch.

    Raises:
        InputError: naming the rule, and what to do about the size; in training, see
            :func:`require_statistics`.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        return  # sizes are no plain numbers then
    got = tuple(image.shape)
    if image.ndim != 4 or image.shape[1] != channels:
        raise InputError(network, "image", f"have the shape (batch, {channels}, x, y)", got=got)
    if 0 in got[2:] or any(size % divisor for size in got[2:]):
        rule, todo = f"be a multiple of {divisor} on either axis", "Pad the slices."
        raise InputError(network, "image size", rule, got=got[2:], todo=todo)
    if training:
        require_statistics(network, image, divisor=divisor)


def require_statistics(network: str, image: Tensor, *, divisor: int) -> None:
    """Refuse a batch that leaves a batch norm one value of each channel, which has no variance.

    Args:
        network: its name.
        image: (B, channels, X, Y).
        divisor: voxels of the image to one of its coarsest features, on either axis.

    Raises:
        InputError: naming what to change.
    """
    if len(image) * math.prod(size // divisor for size in image.shape[2:]) > 1:
        return
    rule = f"hold two slices, or one of more than {divisor}×{divisor} voxels, for batch norm"
    todo = "Raise --batch_size, or lower --spacing_mm."
    got = f"{len(image)} of {'×'.join(map(str, image.shape[2:]))}"
    raise InputError(network, "a batch in training", rule, got=got, todo=todo)
