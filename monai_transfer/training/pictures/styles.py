"""How lines are told apart: by colour, marker and dashes, so without colour too."""

import itertools
from collections.abc import Iterable
from typing import Final

from monai_transfer._palette import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY

_KNOWN: Final = {
    "scratch": (BLACK, "o", "--"),
    "all": (BLUE, "s", "-"),
    "decoder": (GREEN, "^", "-."),
    "head": (RED, "v", ":"),
    "direct": (PURPLE, "D", "--"),
    "adabn": (RED, "X", ":"),
    # sources: the colour is the task, dashes are the other domain
    "mri-segmentation": (BLUE, "s", "-"),
    "mri-autoencoding": (GREEN, "^", "-"),
    "mri-classification": (RED, "v", "-"),
    "natural-segmentation": (BLUE, "s", ":"),
    "natural-autoencoding": (GREEN, "^", ":"),
    "natural-classification": (RED, "v", ":"),
    "imagenet": (PURPLE, "D", "-."),
}
_OTHERS: Final = ((ORANGE, "P", "-"), (SKY, "X", "--"), (PURPLE, "<", "-."), (BLUE, ">", ":"))


def line_styles(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Keywords of matplotlib's ``plot`` for each line.

    The papers' strategies and sources look alike in every figure; others take what is left, in
    turn.

    Example:
        >>> line_styles(["scratch", "last:3"])["scratch"]
        {'color': '#000000', 'marker': 'o', 'linestyle': '--'}
    """
    names = list(names)
    taken = {_KNOWN[name][0] for name in names if name in _KNOWN}
    others = itertools.cycle([style for style in _OTHERS if style[0] not in taken] or _OTHERS)
    keys = ("color", "marker", "linestyle")
    return {name: dict(zip(keys, _KNOWN.get(name) or next(others), strict=True)) for name in names}
