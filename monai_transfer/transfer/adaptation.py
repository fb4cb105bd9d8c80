"""From a source and a strategy to a network that is ready to train, with its report and proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks.parts import PartedNetwork
from monai_transfer.transfer.adabn import freeze_all_but_statistics, statistics
from monai_transfer.transfer.channels import GREY
from monai_transfer.transfer.freeze import (
    digest,
    freeze,
    freeze_norms,
    frozen_tensors,
    parameter_groups,
    verify_frozen,
)
from monai_transfer.transfer.layers import (
    Example,
    Layer,
    freeze_layers,
    layer_rates,
    trace_layers,
)
from monai_transfer.transfer.merging import WHOLE, merge, warnings_of
from monai_transfer.transfer.natural_images import as_encoder
from monai_transfer.transfer.report import TransferReport
from monai_transfer.transfer.sources import Source, read_source
from monai_transfer.transfer.strategies import ALL, Strategy, read_strategy


@dataclass(frozen=True)
class Adaptation:
    """A network with a strategy applied to it.

    Args:
        network: the network, weights copied and parts frozen, in place.
        strategy: the resolved strategy.
        report: what became of every tensor.
        frozen: digest of the frozen tensors, taken when they were frozen.
        layers: the network's, if the strategy refers to its depth.
    """

    network: nn.Module
    strategy: Strategy
    report: TransferReport
    frozen: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Optimiser groups of what is trained, at the strategy's rates."""
        strategy = self.strategy
        decay = layer_rates(self.layers, strategy.rate_decay) if strategy.rate_decay != 1 else None
        return parameter_groups(self.network, learning_rate, rates=strategy.rates, depth=decay)

    def verify(self) -> None:
        """Raise an InputError unless what was frozen is still bit-identical."""
        verify_frozen(self.network, self.frozen)


def adapt(
    network: nn.Module,
    source: str | Path | Source | None = None,
    *,
    strategy: str | Mapping[str, Any] | Strategy = "all",
    modalities: Sequence[str],
    search: Sequence[Path] = (),
    source_modalities: Sequence[str] | None = None,
    new_channel: str = "nearest",
    example: Example = None,
) -> Adaptation:
    """Apply a strategy to a freshly initialised network.

    Args:
        network: any; changed in place. Its present values are what ``reset`` parts keep. For a
            strategy that names parts it declares them
            (:class:`~monai_transfer.networks.PartedNetwork`).
        source: see :func:`~monai_transfer.transfer.sources.read_source`; not read when the
            strategy copies nothing. A bare ResNet-50 as torchvision writes it, by name or as a
            file, becomes the part ``encoder`` of a network that has one; if it was trained on
            colours, for grey images in [0, 1].
        strategy: see :func:`~monai_transfer.transfer.strategies.read_strategy`. A network may say
            that a name means another strategy for it, as ``all`` does for SegAN.
        modalities: modality of each input channel of `network`.
        search: folders that hold bundles.
        source_modalities: of the source's channels, for one that does not say it itself; ``None``
            takes what it says. Who tells them moves to others knowingly, and is not warned.
        new_channel: what a modality that the source never saw starts from.
        example: for a strategy by depth, what the network is run on once to find its layers; see
            :func:`~monai_transfer.transfer.trace_layers`.

    Returns:
        The network, its strategy, the report and the digest of what is frozen.

    Raises:
        InputError: no source where one is needed; a tensor that the strategy promises to copy is
            not in the source or has another shape; a part that the network does not declare, or a
            depth that it does not have; other source modalities than the source says; or, where
            nothing is trained, other modalities than the source's (their order is free), unless the
            strategy says ``elsewhere``.
    """
    asked = _asked(network, strategy)
    layers = trace_layers(network, example) if asked.needs_layers else ()
    parts = _parts(network, asked)
    chosen = asked.resolve(parts, layers=len(layers))
    given = _given(source, network, strategy=chosen, search=search) if chosen.copy else None
    if given and source_modalities:
        given = _told(given, source_modalities)
    if given and set(chosen.freeze) == set(parts) and not chosen.elsewhere:
        where = given.name if isinstance(source, Source) else str(source)
        _require_modalities(where, given.modalities, list(modalities), parts=parts)
    names = list(modalities)
    state, records = merge(network, given, chosen, modalities=names, new_channel=new_channel)
    network.load_state_dict(state)
    _freeze(network, chosen, layers)
    frozen = digest(frozen_tensors(network))
    tensors = tuple(replace(r, frozen=r.part != "source" and r.name in frozen) for r in records)
    if chosen.norm == "re-estimate":
        moving = statistics(network)
        tensors = tuple(
            replace(r, action="re-estimated", reason="statistics, on target scans")
            if r.name in moving
            else r
            for r in tensors
        )
    report = TransferReport(
        given.name if given else None,
        given.sha256 if given else None,
        chosen.as_dict(),
        tensors,
        given.notes if given else (),
        () if source_modalities else warnings_of(network, given, chosen, names),
    )
    return Adaptation(network, chosen, report, frozen, layers)


def _asked(network: nn.Module, strategy: str | Mapping[str, Any] | Strategy) -> Strategy:
    """The strategy that is meant: a network may have another one of that name."""
    meant: Mapping[str, str] = getattr(network, "strategies", {})
    if isinstance(strategy, str) and strategy in meant:
        return replace(read_strategy(meant[strategy]), name=strategy)
    return read_strategy(strategy)


def _told(source: Source, modalities: Sequence[str]) -> Source:
    """A source with the modalities that the user says it has."""
    if source.modalities is None:
        return replace(source, modalities=tuple(modalities))
    if set(source.modalities) != set(modalities):
        rule = f"be what its record says, {', '.join(source.modalities)}"
        what, got = "modalities of the source", ", ".join(modalities)
        raise InputError(f"source {source.name}", what, rule, got=got, todo="Leave them out.")
    return source


def _parts(network: nn.Module, strategy: Strategy) -> tuple[str, ...]:
    """Names of a network's parts; of one that declares none, :data:`WHOLE`."""
    if isinstance(network, PartedNetwork):
        return network.parts
    named = {*strategy.copy, *strategy.reset, *strategy.freeze, *strategy.rates} - {ALL, WHOLE}
    if named:
        rule = f"name no parts, for {type(network).__name__} declares none"
        todo = "Use one by depth: freeze:<i> or last:<k>."
        what, got = f"strategy {strategy.name}", ", ".join(sorted(named))
        raise InputError("options", what, rule, got=got, todo=todo)
    return (WHOLE,)


def _given(
    source: str | Path | Source | None,
    network: nn.Module,
    *,
    strategy: Strategy,
    search: Sequence[Path],
) -> Source:
    if source is None:
        rule = "name a source bundle or checkpoint"
        raise InputError("options", f"strategy {strategy.name}", rule, got="no source")
    read = source if isinstance(source, Source) else read_source(source, search=search)
    return as_encoder(read, network)


def _require_modalities(
    source: str, trained: Sequence[str] | None, asked: list[str], *, parts: tuple[str, ...]
) -> None:
    """Refuse to apply weights as they are to other modalities than they were trained on."""
    if not trained or list(trained) == [GREY] or set(asked) == set(trained):
        return
    missing = ", ".join(name for name in trained if name not in asked)
    listed = ",".join(f"'{name}'" for name in asked)
    strategy = "all" if "head" in parts else "continue"
    todo = f"Fine-tune them first: --source {source} --strategy {strategy}"
    todo += f' --modalities "[{listed}]"; '
    todo += f"or give {missing} too." if missing else f"or ask for {', '.join(trained)} alone."
    rule = f"be those that its weights were trained on ({', '.join(trained)})"
    raise InputError(f"source {source}", "modalities", rule, got=", ".join(asked), todo=todo)


def _freeze(network: nn.Module, strategy: Strategy, layers: Sequence[Layer]) -> None:
    if strategy.norm == "re-estimate":
        freeze_all_but_statistics(network)
        return
    for part in strategy.freeze:
        freeze(network if part == WHOLE else network.get_submodule(part))
    if strategy.freeze_first:
        freeze_layers(network, layers, strategy.freeze_first)
    if strategy.norm == "frozen":
        freeze_norms(network)
