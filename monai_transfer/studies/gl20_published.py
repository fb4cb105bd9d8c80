"""What Giacomello 2020 reports, by kind of run, modality trained on, and modality scored on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

Place: TypeAlias = tuple[str, str, str]

PAPER: Final[Mapping[Place, Mapping[str, float]]] = MappingProxyType(
    {
        (kind, source, modality): dict(
            zip(("dice", "precision", "sensitivity"), scores, strict=True)
        )
        for kind, source, modality, scores in (
            ("segan", "all", "all", (0.82753, 0.91542, 0.76507)),
            ("segan-io", "all", "all", (0.86166, 0.89635, 0.83585)),
            ("full", "flair", "t1", (0.51049, 0.48687, 0.58236)),
            ("seg", "flair", "t1", (0.60553, 0.60258, 0.64079)),
            ("full", "flair", "t1c", (0.59446, 0.72356, 0.53062)),
            ("seg", "flair", "t1c", (0.59965, 0.69317, 0.54780)),
            ("full", "flair", "t2", (0.76647, 0.80952, 0.73292)),
            ("seg", "flair", "t2", (0.80341, 0.83288, 0.78169)),
        )
    }
)
"""Tables I and III: Dice, precision, sensitivity."""

FILES: Final[Mapping[Place, float]] = MappingProxyType(
    {
        ("segan", "all", "all"): 0.823,
        ("segan-no-dice", "all", "all"): 0.704,
        ("base", "t1", "t1"): 0.530,
        ("base", "t1c", "t1c"): 0.582,
        ("base", "t2", "t2"): 0.744,
        ("base", "flair", "flair"): 0.804,
        ("untuned", "flair", "t1"): 0.086,
        ("untuned", "flair", "t1c"): 0.242,
        ("untuned", "flair", "t2"): 0.448,
        ("untuned", "t2", "flair"): 0.567,
        ("full", "flair", "t1"): 0.483,
        ("seg", "flair", "t1"): 0.570,
        ("full", "flair", "t1c"): 0.537,
        ("seg", "flair", "t1c"): 0.546,
        ("full", "flair", "t2"): 0.758,
        ("seg", "flair", "t2"): 0.795,
    }
)
"""Dice in the result files that the authors published with their code. They are not those of the
paper's tables, of which II and figure 3 are pictures."""


def published(place: Place) -> str:
    """Both Dice of a run in words; empty where neither tells.

    Example:
        >>> published(("full", "flair", "t1")), published(("base", "t1", "t1"))
        ('paper 0.510, files 0.483', 'files 0.530')
    """
    told = [f"paper {PAPER[place]['dice']:.3f}"] if place in PAPER else []
    return ", ".join(told + ([f"files {FILES[place]:.3f}"] if place in FILES else []))
