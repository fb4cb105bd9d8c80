"""Texts that MONAI's config parser would not take as text."""

from collections.abc import Iterator
from typing import Any

_MARKS = ("$", "@", "%")  # code to run, a reference, a part of another file


def expressions_in(value: Any) -> Iterator[str]:
    """The texts inside a JSON value that a config would run or replace, keys included.

    Data must never be able to do so: a file may come from anybody.

    Args:
        value: as read from JSON.

    Example:
        >>> list(expressions_in({"image": ["a.nii", "$print(1)"], "@b": " %c", "cost": "5 $"}))
        ['$print(1)', '@b', ' %c']
    """
    if isinstance(value, str):
        if value.lstrip().startswith(_MARKS):
            yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from expressions_in(key)
            yield from expressions_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions_in(inner)
