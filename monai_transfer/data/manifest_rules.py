"""The rules a manifest's JSON must keep: each key by itself, then the keys together."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from monai_transfer.data.expressions import expressions_in
from monai_transfer.data.layout import escapes, pattern_fields
from monai_transfer.data.patient_rule import RULE, is_bounded

STRATIFIED, TOLD = "stratified", "participants"
RECIPES = (STRATIFIED, TOLD)
_DATA = ("name", "layout", "modalities", "label", "labels", "groups")
"""Keys whose texts become paths and names in a run; the others are for people to read."""


class _Key(NamedTuple):
    holds: Callable[[Any], bool]
    rule: str
    required: bool = True


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value)) and len(set(value)) == len(value)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_text, [*value, *value.values()]))


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _amount(value: Any) -> bool:
    return _count(value) or (isinstance(value, float) and 0 <= value <= 1)


def _cases(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(_count(size) and size > 0 for size in value)
        and all(a < b for a, b in pairwise(value))
    )


def _shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(_count(n) and n for n in value)


_TEXT = _Key(_text, "be a text that is not empty")
_AMOUNT = _Key(_amount, "be a number of patients, or a share from 0.0 to 1.0")

MANIFEST: dict[str, _Key] = {
    "name": _TEXT,
    "description": _TEXT,
    "layout": _TEXT,
    "modalities": _Key(
        lambda value: _mapping(value) and _texts(list(value.values())),
        "map each modality to its own text in file names",
    ),
    "label": _Key(lambda value: value is None or _text(value), "be a path pattern or null"),
    "labels": _Key(
        lambda value: _mapping(value) and "0" in value and all(map(_whole, value)),
        'map whole numbers, "0" among them, to names',
    ),
    "groups": _Key(_texts, "list distinct names", required=False),
    "participants": _Key(
        lambda value: value is None or isinstance(value, dict),
        "be an object or null",
        required=False,
    ),
    "patient": _Key(
        lambda value: value is None or (isinstance(value, str) and is_bounded(value)),
        f"be {RULE}, or null",
        required=False,
    ),
    "licence": _TEXT,
    "citation": _TEXT,
    "how_to_obtain": _TEXT,
    "counts": _Key(lambda value: value is None or isinstance(value, dict), "be an object or null"),
    "split": _Key(lambda value: isinstance(value, dict), "be an object"),
    "submission": _Key(
        lambda value: value is None or isinstance(value, dict),
        "be an object or null",
        required=False,
    ),
}

COUNTS: dict[str, _Key] = {
    "subjects": _Key(_count, "be a number of subjects"),
    "groups": _Key(
        lambda value: isinstance(value, dict) and all(map(_count, value.values())),
        "map groups to numbers of subjects",
        required=False,
    ),
}

PARTICIPANTS: dict[str, _Key] = {"file": _TEXT, "column": _TEXT}

SUBMISSION: dict[str, _Key] = {
    "file": _TEXT,
    "shape": _Key(_shape, "be three numbers of voxels"),
}

_ANY_SPLIT: dict[str, _Key] = {
    "recipe": _Key(lambda value: value in RECIPES, f"be one of {', '.join(RECIPES)}"),
    "cases": _Key(_cases, "list rising numbers of cases", required=False),
    "source": _TEXT,
}
SPLITS: dict[str, dict[str, _Key]] = {
    STRATIFIED: {**_ANY_SPLIT, "validation": _AMOUNT, "test": _AMOUNT},
    TOLD: {**_ANY_SPLIT, **PARTICIPANTS},
}
"""Recipe → the keys of its section."""


def key_faults(raw: Mapping[str, Any]) -> list[str]:
    """A line for every key that is unknown, missing or has a wrong value.

    Example:
        >>> key_faults({"nmae": "brats"})[:2]
        ['key nmae is unknown. Did you mean name?', 'key name is missing']
    """
    faults = [*_section("", raw, MANIFEST)]
    sections = {
        "counts": COUNTS,
        "participants": PARTICIPANTS,
        "split": _split_keys(raw.get("split")),
        "submission": SUBMISSION,
    }
    for name, keys in sections.items():
        if isinstance(raw.get(name), dict):
            faults += _section(f"{name}.", raw[name], keys)
    for name in _DATA:
        for text in expressions_in(raw.get(name)):
            faults.append(f"key {name} must begin with no $, @ or %, got {text!r}")
    return faults


def cross_faults(raw: Mapping[str, Any]) -> list[str]:
    """A line for every pair of keys that contradict each other; `raw` has no `key_faults`."""
    groups, participants = raw.get("groups", []), raw.get("participants")
    fields = {"subject"} | ({"group"} if groups and participants is None else set())
    several = {"modality"} if len(raw["modalities"]) > 1 else set()
    visits = {"session"} & _fields_of(raw["layout"])
    allowed = fields | {"modality", "session"}
    faults = [*_pattern_faults("layout", raw["layout"], fields | several, allowed)]
    if raw["label"] is not None:
        faults += _pattern_faults("label", raw["label"], fields | visits, fields | visits)
    if participants is not None:
        faults += _participants_faults(participants, groups)
    if raw["split"]["recipe"] == TOLD:
        faults += _inside_faults("split.file", raw["split"]["file"])
    if raw.get("submission") is not None:
        faults += _pattern_faults("submission.file", raw["submission"]["file"], *[{"subject"}] * 2)
    if raw["counts"] is not None:
        faults += _count_faults(raw["counts"], groups)
    return faults


def _section(prefix: str, raw: Mapping[str, Any], keys: Mapping[str, _Key]) -> Iterator[str]:
    for name in raw:
        if name not in keys:
            close = difflib.get_close_matches(name, keys, n=1)
            hint = f". Did you mean {prefix}{close[0]}?" if close else ""
            yield f"key {prefix}{name} is unknown{hint}"
    for name, key in keys.items():
        if name not in raw:
            if key.required:
                yield f"key {prefix}{name} is missing"
        elif not key.holds(raw[name]):
            yield f"key {prefix}{name} must {key.rule}, got {raw[name]!r}"


def _fields_of(pattern: str) -> set[str]:
    try:
        return pattern_fields(pattern)
    except ValueError:
        return set()


def _split_keys(raw: Any) -> dict[str, _Key]:
    recipe = raw.get("recipe") if isinstance(raw, dict) else None
    return SPLITS[recipe if recipe in RECIPES else STRATIFIED]


def _participants_faults(participants: Mapping[str, Any], groups: list[str]) -> Iterator[str]:
    if not groups:
        yield f"key groups must list the texts of the column {participants['column']!r}, got none"
    yield from _inside_faults("participants.file", participants["file"])


def _inside_faults(key: str, path: str) -> Iterator[str]:
    if escapes(path):
        yield f"key {key} must stay inside the data folder, got {path!r}"


def _pattern_faults(key: str, pattern: str, needed: set[str], allowed: set[str]) -> Iterator[str]:
    try:
        fields = pattern_fields(pattern)
    except ValueError as fault:
        yield f"key {key} must be a path with fields in braces, got {pattern!r}: {fault}"
        return
    if escapes(pattern):
        yield f"key {key} must stay inside the data folder, got {pattern!r}"
    for name in sorted(needed - fields):
        yield f"key {key} must hold the field {{{name}}}, got {pattern!r}"
    if extra := sorted(fields - allowed):
        known = ", ".join(f"{{{name}}}" for name in sorted(allowed))
        yield f"key {key} must hold no field but {known}, got {{{extra[0]}}} in {pattern!r}"


def _count_faults(counts: Mapping[str, Any], groups: list[str]) -> Iterator[str]:
    per_group = counts.get("groups", {})
    if sorted(per_group) != sorted(groups):
        yield f"key counts.groups must count the groups {groups}, got {sorted(per_group)}"
    elif groups and (total := sum(per_group.values())) != counts["subjects"]:
        yield f"key counts.subjects must be {total}, the sum of groups, got {counts['subjects']}"


def _whole(text: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,8}", text) is not None
