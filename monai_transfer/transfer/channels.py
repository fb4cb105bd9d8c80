"""Matching the channels of a first layer by modality name."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monai_transfer.errors import InputError, choice

NEW_CHANNEL = ("nearest", "average", "zero")
"""What a modality that the source never saw may start from."""

GREY = "grey"
"""Modality of a network for photographs that sees no colours; it may stand for any other one."""

SAME = "same modalities"
"""How a weight was made that is the source's own."""

_NEAREST = {
    "t1": ("t1c", "flair", "t2"),
    "t1c": ("t1", "flair", "t2"),
    "t2": ("flair", "pd", "t1"),
    "pd": ("t2", "flair", "t1"),
    "flair": ("t2", "pd", "t1"),
}


def match_channels(
    weight: Tensor,
    source: Sequence[str],
    *,
    target: Sequence[str],
    new_channel: str = "nearest",
    extra: int = 0,
    layer: str = "first layer",
) -> tuple[Tensor, str]:
    """First-layer weight for other modalities, or the same ones in another order.

    A modality keeps its own filters wherever it moves. One that the source never saw starts from
    the filters of its nearest relative, the average of all, or zero; so do all of them where source
    and target have none in common. Where the set of modalities changed, the whole weight is scaled
    so that its Frobenius norm, and with it the scale of the activations, stays what the source had.
    Of a source for grey photographs every modality gets the filters, divided by their number: the
    layer sees the modalities' mean, on the scale it knows.

    Args:
        weight: (out, len(source) + extra, ...) weight of the source's layer.
        source: modality of each of its input channels.
        target: modality of each channel of the new network.
        new_channel: what an unseen modality starts from.
        extra: input channels after the modalities that hold something else, such as a mask; they
            stay as they are.
        layer: how errors call it.

    Returns:
        The (out, len(target) + extra, ...) weight, and one line that says how it was made.

    Raises:
        InputError: the weight has another number of inputs, a modality is named twice,
            `new_channel` is unknown, or no filter would be left that is not zero.

    Source:
        Giacomello 2020, section IV-C, for one modality in the place of another: the weights as they
        are. All else is ours, for the papers keep their modalities; preserving the norm follows the
        practice of repeating and rescaling RGB stems.

    Example:
        >>> w = torch.tensor([[[1.0], [2.0]]])  # one filter over t1, flair
        >>> match_channels(w, ["t1", "flair"], target=["flair", "t1"])[0].flatten().tolist()
        [2.0, 1.0]
        >>> match_channels(w[:, 1:], ["flair"], target=["t1"])[1]
        't1 from flair, flair dropped'
    """
    source, target = list(source), list(target)
    _check(weight, source, target, new_channel, extra=extra, layer=layer)
    image, others = weight[:, : len(source)], weight[:, len(source) :]
    matched, how = _matched(image, source, target, new_channel)
    if image.any() and not matched.any():
        rule = f"start from filters that are not zero (the source has {', '.join(source)})"
        todo = "Let new_channel be nearest or average, or keep one of the source's modalities."
        raise InputError(layer, "target modalities", rule, got=", ".join(target), todo=todo)
    return torch.cat([matched, others], dim=1), how


def strange_modalities(source: Sequence[str], target: Sequence[str]) -> tuple[str, ...]:
    """A warning where every modality of a network starts from the filters for another one.

    Args:
        source: modalities of the source; that of grey photographs may stand for any.
        target: of the network.

    Returns:
        The line, if there is anything to warn of.

    Example:
        >>> strange_modalities(["flair"], ["t1"])
        ('The source never saw t1: its filters for flair serve. Was that meant?',)
        >>> strange_modalities(["flair"], ["t1", "flair"])
        ()
    """
    if not source or list(source) == [GREY] or set(source) & set(target):
        return ()
    trained, asked = ", ".join(source), ", ".join(target)
    return (f"The source never saw {asked}: its filters for {trained} serve. Was that meant?",)


def _matched(
    weight: Tensor, source: list[str], target: list[str], new_channel: str
) -> tuple[Tensor, str]:
    """The weight for the target's modalities, and how it was made."""
    if source == [GREY] != target:
        shares = [weight[:, 0] / len(target)] * len(target)
        line = f"{', '.join(target)} from {GREY}"
        return torch.stack(shares, dim=1), line + f" / {len(target)}" * (len(target) > 1)
    columns, how = [], []
    for modality in target:
        if modality in source:
            columns.append(weight[:, source.index(modality)])
            continue
        column, origin = _new_column(weight, source, modality, new_channel)
        columns.append(column)
        how.append(f"{modality} from {origin}")
    adapted = torch.stack(columns, dim=1)
    dropped = [m for m in source if m not in target]
    if how or dropped:
        how += [f"{m} dropped" for m in dropped]
        factor = float(weight.norm() / adapted.norm()) if adapted.any() else 1.0
        if not math.isclose(factor, 1, rel_tol=1e-6):  # but for the rounding of the norms
            adapted = adapted * factor
            how.append(f"scaled by {factor:.3g}")
    else:
        how = ["reordered"] if source != target else [SAME]
    return adapted, ", ".join(how)


def grey_stem(
    weight: Tensor, *, mean: Sequence[float], sd: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """First layer for grey images in [0, 1], of one that saw colours with mean 0 and SD 1.

    The new layer's output less the constant is what the colour layer gives for the grey image in
    all its channels, each less its mean and divided by its SD, but where filters reach over the
    border.

    Args:
        weight: (out, colours, ...) of a layer without bias.
        mean: of each colour in [0, 1], over the images that it was trained on.
        sd: likewise.

    Returns:
        The (out, 1, ...) weight, and the (out,) constant.

    Source:
        Ours: the arithmetic of the normalisation.

    Example:
        >>> w, constant = grey_stem(torch.ones(1, 2, 1), mean=[0.5, 0.25], sd=[0.5, 0.25])
        >>> w.flatten().tolist(), constant.tolist()  # 1 / 0.5 + 1 / 0.25, and 1 + 1
        ([6.0], [2.0])
    """
    colours = (1, -1) + (1,) * (weight.ndim - 2)
    scaled = weight.double() / torch.tensor(sd, dtype=torch.float64).view(colours)
    constant = scaled * torch.tensor(mean, dtype=torch.float64).view(colours)
    grey = scaled.sum(dim=1, keepdim=True)
    return grey.to(weight.dtype), constant.flatten(1).sum(dim=1).to(weight.dtype)


def _check(
    weight: Tensor,
    source: list[str],
    target: list[str],
    new_channel: str,
    *,
    extra: int,
    layer: str,
) -> None:
    if weight.shape[1] != len(source) + extra:
        rule = f"have one input channel per source modality ({', '.join(source)})"
        rule += f" and {extra} for what else it is shown" * (extra > 0)
        raise InputError(layer, "source weight", rule, got=weight.shape[1])
    for names, side in ((source, "source"), (target, "target")):
        if len(set(names)) != len(names):
            raise InputError(layer, f"{side} modalities", "be named once each", got=names)
    if new_channel not in NEW_CHANNEL:
        raise choice(layer, "new_channel", new_channel, NEW_CHANNEL)


def _new_column(
    weight: Tensor, source: list[str], modality: str, new_channel: str
) -> tuple[Tensor, str]:
    if new_channel == "zero":
        return torch.zeros_like(weight[:, 0]), "zero"
    relatives = [m for m in _NEAREST.get(modality, ()) if m in source]
    if new_channel == "nearest" and relatives:
        return weight[:, source.index(relatives[0])], relatives[0]
    return weight.mean(dim=1), "the average"
