"""Strategies: which parts of a network come from the source and which are trained, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from monai_transfer.errors import InputError, choice

ALL = "*"
"""Stands for every part that the network declares."""


@dataclass(frozen=True)
class Strategy:
    """What is copied, re-initialised, frozen and at which rate the rest is trained.

    Part names are those that the network declares; ``"*"`` means all of them. What is not in
    `reset` is copied when `copy` is ``("*",)``.

    Args:
        name: how reports call it.
        copy: parts whose every tensor comes from the source.
        reset: parts that keep their fresh initialisation.
        freeze: parts that training must leave bit-identical.
        rates: learning-rate multiplier of a part; 1 where absent.
        norm: ``"train"`` lets the norm layers of trained parts learn and track statistics;
            ``"frozen"`` freezes every norm layer, wherever it is.

    Source:
        The names in :data:`STRATEGIES` are Kaur 2019 section 2 (all = FT-All, head = FT-Last
        Three, decoder = FT-Decoder; the last three layers are replaced in each of them);
        ``direct`` is Ghafoorian 2017's 'source applied directly'; ``continue`` is ours: the
        source's own task goes on with its head kept.

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

    def resolve(self, parts: tuple[str, ...]) -> "Strategy":
        """The same strategy with ``"*"`` written out for a network's parts.

        Raises:
            InputError: an unknown part, a part neither copied nor reset (or both), a negative
                rate, an unknown norm mode, or a rate for a frozen part.
        """
        where = f"strategy {self.name}"
        for key in ("copy", "reset", "freeze", "rates"):
            for part in getattr(self, key):
                if part != ALL and part not in parts:
                    raise choice(where, f"a part in {key}", part, parts)
        reset = tuple(p for p in parts if p in self.reset or ALL in self.reset)
        copied = tuple(p for p in parts if p in self.copy or (ALL in self.copy and p not in reset))
        frozen = tuple(p for p in parts if p in self.freeze or ALL in self.freeze)
        for part in parts:
            if (part in copied) == (part in reset):
                rule = "be either copied or reset"
                raise InputError(where, f"part {part}", rule, got="both" if part in reset else None)
        for part, rate in self.rates.items():
            if rate < 0 or part in frozen:
                rule = "be at least 0 and for a part that is trained"
                raise InputError(where, f"rate of {part}", rule, got=rate)
        if self.norm not in ("train", "frozen"):
            raise choice(where, "norm", self.norm, ("train", "frozen"))
        return Strategy(self.name, copied, reset, frozen, dict(self.rates), self.norm)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


STRATEGIES: Mapping[str, Strategy] = {
    s.name: s
    for s in (
        Strategy("scratch", reset=(ALL,)),
        Strategy("direct", copy=(ALL,), freeze=(ALL,)),
        Strategy("all", copy=(ALL,), reset=("head",)),
        Strategy("decoder", copy=(ALL,), reset=("head",), freeze=("encoder",)),
        Strategy("head", copy=(ALL,), reset=("head",), freeze=("encoder", "decoder")),
        Strategy("continue", copy=(ALL,)),
    )
}
"""The named strategies."""


def read_strategy(strategy: "str | Mapping[str, Any] | Strategy") -> Strategy:
    """A strategy from its name, or from its fields written in a config.

    Args:
        strategy: a key of :data:`STRATEGIES`, a mapping with fields of :class:`Strategy` (``name``
            may be left out), or a strategy.

    Raises:
        InputError: an unknown name or field.

    Example:
        >>> read_strategy({"copy": ["encoder"], "reset": ["head", "decoder"]}).copy
        ('encoder',)
    """
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise choice("options", "strategy", strategy, STRATEGIES)
        return STRATEGIES[strategy]
    known = [f.name for f in fields(Strategy)]
    for key in strategy:
        if key not in known:
            raise choice("strategy", "field", key, known)
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in strategy.items()
    }
    return Strategy(**{"name": "custom", **values})
