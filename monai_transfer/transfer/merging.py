"""The state that a network starts from: each tensor the source's, made to fit, or its own."""

from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks.parts import PartedNetwork, part_of
from monai_transfer.transfer.channels import SAME, match_channels, strange_modalities
from monai_transfer.transfer.report import Action, TensorRecord
from monai_transfer.transfer.sources import Source
from monai_transfer.transfer.strategies import Strategy

WHOLE = "network"
"""The one part of a network that declares none."""


def merge(
    network: nn.Module,
    source: Source | None,
    strategy: Strategy,
    *,
    modalities: list[str],
    new_channel: str,
) -> tuple[dict[str, Tensor], list[TensorRecord]]:
    """The state the network starts from, and a record of each tensor.

    Args:
        network: freshly initialised; not changed.
        source: of what the strategy copies; ``None`` when it copies nothing.
        strategy: resolved for the network.
        modalities: of the network's input channels; every layer that sees the image first is
            matched to them by name.
        new_channel: see :func:`~monai_transfer.transfer.match_channels`.

    Raises:
        InputError: the source lacks what the strategy promises to copy, or it has another shape.
    """
    fresh = network.state_dict()
    given, remarks = _given(network, source, strategy, modalities, new_channel)
    merged, records, missing = {}, [], []
    for name, value in fresh.items():
        part = part_of(network, name) if isinstance(network, PartedNetwork) else WHOLE
        theirs, reason = given.pop(name, None), remarks.get(name, "")
        action: Action = "adapted" if reason else "loaded"
        if part in strategy.reset:
            theirs, action, reason = value, "reset", "fresh initialisation"
        elif theirs is None:
            missing.append(f"{name} is not in the source")
            continue
        elif theirs.shape != value.shape:
            missing.append(f"{name} has shape {tuple(theirs.shape)}, not {tuple(value.shape)}")
            continue
        merged[name] = theirs.to(value.dtype)
        records.append(TensorRecord(name, part, action, reason, tuple(value.shape), False))
    if missing and source:
        raise _too_little(source, strategy, missing, len(fresh))
    for name, tensor in given.items():
        why, shape = remarks.get(name, "not in the network"), tuple(tensor.shape)
        records.append(TensorRecord(name, "source", "skipped", why, shape, False))
    return merged, records


def warnings_of(
    network: nn.Module, source: Source | None, strategy: Strategy, modalities: list[str]
) -> tuple[str, ...]:
    """What of a merge may not have been meant.

    Args:
        network: see :func:`merge`.
        source: likewise.
        strategy: likewise.
        modalities: likewise.
    """
    inputs = {part_of(network, name) for name in _input_weights(network)}
    if source is None or not inputs & set(strategy.copy):
        return ()
    return strange_modalities(source.modalities or (), modalities)


def _given(
    network: nn.Module,
    source: Source | None,
    strategy: Strategy,
    modalities: list[str],
    new_channel: str,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The source's tensors, the layers that see the image matched; and remarks by tensor."""
    if source is None:
        return {}, {}
    state, remarks = dict(source.state), dict(source.remarks)
    if not source.modalities:
        return state, remarks
    if not isinstance(network, PartedNetwork):
        _require_same_modalities(network, source.modalities, modalities)
    for name, extra in _input_weights(network).items():
        if name in state and part_of(network, name) in strategy.copy:
            state[name], how = match_channels(
                state[name],
                source.modalities,
                target=modalities,
                new_channel=new_channel,
                extra=extra,
                layer=name,
            )
            told = (remarks.get(name, ""), how * (how != SAME))
            remarks[name] = "; ".join(filter(None, told))
    return state, remarks


def _input_weights(network: nn.Module) -> dict[str, int]:
    """Weight of each layer that sees the image first → its channels after the image's."""
    layers = network.input_layers if isinstance(network, PartedNetwork) else {}
    return {f"{layer}.weight": extra for layer, extra in layers.items()}


def _require_same_modalities(
    network: nn.Module, trained: tuple[str, ...], asked: list[str]
) -> None:
    if list(trained) != asked:
        rule = f"be the source's, {', '.join(trained)}: it declares no `input_layers`"
        raise InputError(type(network).__name__, "modalities", rule, got=", ".join(asked))


def _too_little(source: Source, strategy: Strategy, missing: list[str], total: int) -> InputError:
    listed = "; ".join(missing[:5]) + (f"; and {len(missing) - 5} more" if missing[5:] else "")
    todo = "Reset those parts, or choose a source of the same architecture."
    if any("has shape" in line for line in missing):
        todo += " The same has the same widths too: filters and the like."
    return InputError(
        f"source {source.name}",
        f"strategy {strategy.name}",
        f"be able to copy every tensor of {', '.join(strategy.copy)}",
        got=f"{len(missing)} of {total} tensors that do not fit: {listed}",
        todo=todo,
    )
