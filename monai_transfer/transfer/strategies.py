"""Strategies: which parts of a network come from the source and which are trained, as data."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from monai_transfer.errors import InputError, choice

ALL = "*"
"""Stands for every part that the network declares."""

NORM = ("train", "frozen", "re-estimate")
"""What may become of the norm layers."""


@dataclass(frozen=True)
class Strategy:
    """What is copied, re-initialised, frozen and at which rate the rest is trained.

    Part names are those that the network declares; ``"*"`` means all of them, in `copy` and
    `reset` all that the other one does not name.

    Args:
        name: how reports call it.
        copy: parts whose every tensor comes from the source.
        reset: parts that keep their fresh initialisation.
        freeze: parts that training must leave bit-identical.
        rates: learning-rate multiplier of a part; 1 where absent.
        norm: ``"train"`` lets the norm layers of trained parts learn and track statistics;
            ``"frozen"`` freezes every norm layer, wherever it is; ``"re-estimate"`` leaves the
            statistics of batch norm, and nothing else, to
            :func:`~monai_transfer.transfer.re_estimate_norms`.
        freeze_first: number of the shallowest layers that are frozen, in the order of
            :func:`~monai_transfer.transfer.trace_layers`; ``None`` leaves it to the parts.
        train_last: the same by the number of layers that are not.
        rate_decay: the learning rate of each layer is this times that of the next one.
        elsewhere: whether weights that are not trained at all may be applied to modalities that
            they were not trained on.

    Source:
        The names in :data:`STRATEGIES` are Kaur 2019 section 2 (all = FT-All, head = FT-Last
        Three, decoder = FT-Decoder; the last three layers are replaced in each of them);
        ``direct`` is Ghafoorian 2017's 'source applied directly', and so is ``freeze:<i>``: all
        layers are copied, the shallowest i frozen; ``last:<k>`` names the layers that are not.
        ``untuned`` is the same where the modalities are others, Giacomello 2020, figure 3.
        ``encoder_latent`` is Zoetmulder 2022, section 4.3: the encoder, whose last layer gives the
        latent space, from the source, everything else random, all trained; ``encoder`` is what of
        it holds for a source without that layer, as ImageNet's. ``adabn`` is Li 2018,
        arXiv:1603.04779. ``segmentor`` is Giacomello 2020's Seg, section IV-C (i): the critic is
        frozen; their Full, ``all`` for SegAN, is ``continue``, which is ours by name: the source's
        own task goes on with its head kept.

    Example:
        >>> STRATEGIES["decoder"].resolve(("encoder", "decoder", "head")).freeze
        ('encoder',)
    """

    name: str
    copy: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    norm: str = "train"
    freeze_first: int | None = None
    train_last: int | None = None
    rate_decay: float = 1.0
    elsewhere: bool = False

    @property
    def needs_layers(self) -> bool:
        """Whether it refers to the network's depth."""
        return not (self.freeze_first is None and self.train_last is None and self.rate_decay == 1)

    def resolve(self, parts: tuple[str, ...], *, layers: int = 0) -> "Strategy":
        """The same strategy with ``"*"`` and ``train_last`` written out for a network.

        Args:
            parts: names of the network's.
            layers: how many it has; not used by a strategy of parts alone.

        Raises:
            InputError: an unknown part, with the named strategies that fit; a part neither copied
                nor reset (or both), a negative rate, an unknown norm mode, a rate for a frozen
                part, more layers than there are, or statistics re-estimated beside a part that is
                trained.
        """
        where = f"strategy {self.name}"
        for key in ("copy", "reset", "freeze", "rates"):
            for part in getattr(self, key):
                if part != ALL and part not in parts:
                    raise self._stranger(key, part, parts)
        reset = tuple(p for p in parts if _names(p, self.reset, other=self.copy))
        copied = tuple(p for p in parts if _names(p, self.copy, other=self.reset))
        frozen = tuple(p for p in parts if p in self.freeze or ALL in self.freeze)
        for part in parts:
            if (part in copied) == (part in reset):
                rule = "be either copied or reset"
                raise InputError(where, f"part {part}", rule, got="both" if part in reset else None)
        for part, rate in self.rates.items():
            if rate < 0 or part in frozen:
                rule = "be at least 0 and for a part that is trained"
                raise InputError(where, f"rate of {part}", rule, got=rate)
        self._check_values(everything_frozen=frozen == parts)
        return replace(
            self,
            copy=copied,
            reset=reset,
            freeze=frozen,
            rates=dict(self.rates),
            freeze_first=self._depth(layers),
            train_last=None,
        )

    def _stranger(self, key: str, part: str, parts: tuple[str, ...]) -> InputError:
        """The error at a part that the network does not have."""
        error = choice(f"strategy {self.name}", f"a part in {key}", part, parts)
        if self.name not in STRATEGIES:
            return error
        fit = [s.name for s in STRATEGIES.values() if s.trains and s.names <= {ALL, *parts}]
        todo = f"Strategies for these parts: {', '.join((*fit, *_BY_DEPTH))}."
        return InputError(error.where, error.what, error.rule, got=part, todo=todo)

    @property
    def names(self) -> set[str]:
        """Every part that it refers to, ``"*"`` among them."""
        return {*self.copy, *self.reset, *self.freeze, *self.rates}

    @property
    def trains(self) -> bool:
        """Whether it leaves a part to train."""
        return ALL not in self.freeze

    def _check_values(self, *, everything_frozen: bool) -> None:
        where = f"strategy {self.name}"
        if self.norm not in NORM:
            raise choice(where, "norm", self.norm, NORM)
        if self.norm == "re-estimate" and not everything_frozen:
            rule = "stand in a strategy that freezes every part"
            raise InputError(where, "norm re-estimate", rule, got=f"freeze {list(self.freeze)}")
        if not 0 < self.rate_decay <= 1:
            raise InputError(where, "rate_decay", "be above 0 and at most 1", got=self.rate_decay)

    def _depth(self, layers: int) -> int | None:
        """How many of the layers are frozen; ``None`` if it does not say."""
        given = {"freeze_first": self.freeze_first, "train_last": self.train_last}
        said = {key: count for key, count in given.items() if count is not None}
        where = f"strategy {self.name}"
        if len(said) > 1:
            raise InputError(where, "depth", "be given by one of freeze_first and train_last")
        for key, count in said.items():
            if not 0 <= count <= layers:
                what = "frozen layers" if key == "freeze_first" else "tuned layers"
                rule = f"be 0 to {layers}, the number of the network's layers"
                raise InputError(where, what, rule, got=count)
        return layers - self.train_last if self.train_last is not None else self.freeze_first

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def _names(part: str, chosen: tuple[str, ...], *, other: tuple[str, ...]) -> bool:
    """Whether a part is among the chosen: by its name, or by ``"*"`` unless `other` names it."""
    return part in chosen or (ALL in chosen and part not in other)


STRATEGIES: Mapping[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("scratch", reset=(ALL,)),
        Strategy("direct", copy=(ALL,), freeze=(ALL,)),
        Strategy("untuned", copy=(ALL,), freeze=(ALL,), elsewhere=True),
        Strategy("all", copy=(ALL,), reset=("head",)),
        Strategy("decoder", copy=(ALL,), reset=("head",), freeze=("encoder",)),
        Strategy("head", copy=(ALL,), reset=("head",), freeze=("encoder", "decoder")),
        Strategy("encoder", copy=("encoder",), reset=(ALL,)),
        Strategy("encoder_latent", copy=("encoder", "latent"), reset=(ALL,)),
        Strategy("continue", copy=(ALL,)),
        Strategy("segmentor", copy=(ALL,), freeze=("critic",)),
        Strategy("adabn", copy=(ALL,), freeze=(ALL,), norm="re-estimate"),
    )
}
"""The named strategies; ``freeze:<i>`` and ``last:<k>`` are read by :func:`read_strategy`."""

_BY_DEPTH = ("freeze:<i>", "last:<k>")


def read_strategy(strategy: "str | Mapping[str, Any] | Strategy") -> Strategy:
    """A strategy from its name, or from its fields written in a config.

    Args:
        strategy: a key of :data:`STRATEGIES`, ``freeze:<i>`` or ``last:<k>``, a mapping with
            fields of :class:`Strategy` (``name`` may be left out), or a strategy.

    Raises:
        InputError: an unknown name or field.

    Example:
        >>> read_strategy({"copy": ["encoder"], "reset": ["head", "decoder"]}).copy
        ('encoder',)
        >>> read_strategy("last:3").resolve(("body", "head"), layers=15).freeze_first
        12
    """
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str):
        if by_depth := re.fullmatch(r"(freeze|last):(\d+)", strategy):
            count = int(by_depth[2])
            if by_depth[1] == "freeze":
                return Strategy(strategy, copy=(ALL,), freeze_first=count)
            return Strategy(strategy, copy=(ALL,), train_last=count)
        if strategy not in STRATEGIES:
            raise choice("options", "strategy", strategy, [*STRATEGIES, *_BY_DEPTH])
        return STRATEGIES[strategy]
    known = [f.name for f in fields(Strategy)]
    for key in strategy:
        if key not in known:
            raise choice("strategy", "field", key, known)
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in strategy.items()
    }
    return Strategy(**{"name": "custom", **values})
