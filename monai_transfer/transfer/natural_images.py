"""Encoders trained on natural images: their names become ours, their colours become grey."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks.parts import PartedNetwork
from monai_transfer.transfer.channels import GREY, grey_stem
from monai_transfer.transfer.sources import Source

_PREFIX, _STEM, _STEM_NORM = "encoder.", "conv1", "bn1"
_COUNT = "num_batches_tracked"


@dataclass(frozen=True)
class _Training:
    """What a trained encoder's file says of the images that it was trained on.

    Args:
        name: of the images.
        mean: taken off red, green and blue in [0, 1].
        sd: what they were divided by then.
        others: tensors beside the encoder's → why they are not used; the first tells the training.
        notes: what else the user should know.
    """

    name: str
    mean: tuple[float, float, float]
    sd: tuple[float, float, float]
    others: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_HEAD = "head for 1000 classes of ImageNet"
_LATENT = "Taskonomy's latent layer, a convolution at 1/16; here it is transposed, from 1/32"
_TRAININGS = (
    _Training(
        "ImageNet",
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        {"fc.weight": _HEAD, "fc.bias": _HEAD},
    ),
    _Training(
        "Taskonomy",
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
        {
            "compress1.weight": _LATENT,
            **{f"compress_bn.{name}": _LATENT for name in ("weight", "bias")},
            **{f"compress_bn.running_{name}": _LATENT for name in ("mean", "var")},
            f"compress_bn.{_COUNT}": _LATENT,
        },
        ("Taskonomy's encoder halves in other blocks and ends at 1/16, not 1/32: same weights",),
    ),
)


def as_encoder(source: Source, network: nn.Module) -> Source:
    """A bare encoder's weights, such as torchvision's ResNet-50, under a network's own names.

    A source is a bare encoder when it names every tensor of the network's part ``encoder``, which
    begins as a ResNet, without that prefix. Where its first layer sees red, green and blue it
    becomes that of a network for grey images in [0, 1], as it would see them in all three channels:
    the weights divided by the SD and summed over the colours. What the training's mean adds to each
    filter is a constant, and goes into the running mean of the batch norm behind it; that is exact
    but for the filters that reach over the border of the image, where the padding is black then
    instead of the mean colour.

    Args:
        source: as it was read.
        network: that the weights are for.

    Returns:
        The source as it is, unless it is a bare encoder; else one with the network's names, its
        modality ``grey`` if it saw colours, remarks on every tensor that was changed or will not
        be used, and a note.

    Raises:
        InputError: a bare encoder of another width than the network's, or with three channels of
            which nothing says what they are.

    Source:
        Ours; Zoetmulder 2022 does not say how T1 slices enter encoders for colour images.
    """
    if not isinstance(network, PartedNetwork) or f"{_PREFIX}{_STEM}" not in network.input_layers:
        return source
    own = {
        name.removeprefix(_PREFIX): value
        for name, value in network.state_dict().items()
        if name.startswith(_PREFIX)
    }
    needed = {name for name in own if not name.endswith(_COUNT)}
    if not needed <= source.state.keys():
        return source
    stem = f"{_STEM}.weight"
    _require_width(source, source.state[stem], own[stem])
    state, remarks = dict(source.state), dict(source.remarks)
    for name in own.keys() - state.keys():
        state[name] = torch.zeros_like(own[name])
        remarks[name] = "not in the file, which an older PyTorch wrote: counted from 0"
    modalities, notes = source.modalities, source.notes
    if modalities is None and state[stem].shape[1] == 3:
        training = _training(source)
        _turn_grey(state, remarks, training=training)
        modalities, notes = (GREY,), (*notes, *training.notes)
    named = {_PREFIX + name if name in own else name: value for name, value in state.items()}
    told = {_PREFIX + name if name in own else name: value for name, value in remarks.items()}
    return replace(source, state=named, remarks=told, modalities=modalities, notes=notes)


def _require_width(source: Source, theirs: Tensor, own: Tensor) -> None:
    if len(theirs) != len(own):
        rule = f"be the network's, {len(own)}"
        todo = f"Build the network with filters={len(theirs)}."
        what = "filters of the first layer"
        raise InputError(f"source {source.name}", what, rule, got=len(theirs), todo=todo)


def _training(source: Source) -> _Training:
    """What a bare encoder of colour images was trained on, by the tensors beside it."""
    for training in _TRAININGS:
        first = next(iter(training.others))
        if first in source.state and (first != "fc.weight" or len(source.state[first]) == 1000):
            return training
    known = " or ".join(f"{t.name}'s ({next(iter(t.others))})" for t in _TRAININGS)
    raise InputError(
        f"source {source.name}",
        "what its three channels are",
        f"show: in a head, {known}, or in the modalities that run.json beside it names",
        todo="In Python: read_source(file, modalities=[...]).",
    )


def _turn_grey(state: dict[str, Tensor], remarks: dict[str, str], *, training: _Training) -> None:
    """Make a state's first layer one for grey images, in place."""
    stem, mean = f"{_STEM}.weight", f"{_STEM_NORM}.running_mean"
    state[stem], constant = grey_stem(state[stem], mean=training.mean, sd=training.sd)
    state[mean] = state[mean] + constant
    remarks[stem] = f"grey from red, green, blue by {training.name}'s mean and SD"
    remarks[mean] = f"takes in {training.name}'s mean, which no image has taken off now"
    remarks.update({name: why for name, why in training.others.items() if name in state})
