"""Which keys of a config do something: pure functions on its plain content.

An id is a tuple of keys: ``("train", "trainer", "max_epochs")``.
"""

import inspect
import pydoc
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ReferenceResolver

Id = tuple[str, ...]


def unfold(flat: Mapping[str, Any]) -> dict[str, Any]:
    """A config with ids such as ``train#sampler`` as nested mappings.

    Example:
        >>> unfold({"train#sampler": 1, "seed": 0})
        {'train': {'sampler': 1}, 'seed': 0}
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, last = key.removeprefix("+").split("#")
        level = nested
        for section in sections:
            level = level.setdefault(section, {})
        level[last] = value
    return nested


def normalised(value: Any) -> Any:
    """The same content in one spelling: ``@train::data`` for ``@train#data``, lists for tuples.

    MONAI writes one or the other, depending on how many files it has read.

    Example:
        >>> normalised({"data": "@train#data", "sizes": (1, 2), "name": "a#b"})
        {'data': '@train::data', 'sizes': [1, 2], 'name': 'a#b'}
    """
    if isinstance(value, Mapping):
        return {key: normalised(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [normalised(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("@", "$")):
        return ReferenceResolver.normalize_id(value)
    return value


def references(config: Any) -> set[Id]:
    """Ids that the expressions and references of a config name.

    Example:
        >>> sorted(references({"a": "@train#data", "b": ["$len(@c)"], "d": "me@home"}))
        [('c',), ('train', 'data')]
    """
    if isinstance(config, str):
        return {tuple(ref.split("::")) for ref in ReferenceResolver.match_refs_pattern(config)}
    children: Collection[Any] = ()
    if isinstance(config, Mapping):
        children = config.values()
    elif isinstance(config, list | tuple):
        children = config
    return {found for child in children for found in references(child)}


def reached(config: Mapping[str, Any], start: Id) -> set[Id]:
    """Ids that an entry refers to, and that these refer to in turn.

    Args:
        config: normalised.
        start: id of the entry.

    Example:
        >>> sorted(reached({"run": ["$@a.go()"], "a": {"x": "@b"}, "b": 1, "c": "@b"}, ("run",)))
        [('a',), ('b',)]
    """
    found: set[Id] = set()
    waiting = [start]
    while waiting:
        level: Any = config
        for key in waiting.pop():
            if isinstance(level, list) and key.isdecimal():
                level = dict(enumerate(level)).get(int(key))
            else:
                level = level.get(key) if isinstance(level, Mapping) else None
        further = references(level) - found
        found |= further
        waiting += further
    return found


def changed(config: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> Iterator[Id]:
    """Ids that have a value which none of the files gives them; the innermost mappings' keys.

    Args:
        config: with its overrides.
        files: what is written, unfolded.

    Example:
        >>> list(changed({"a": 1, "train": {"b": 2, "c": 3}}, [{"a": 1, "train": {"b": 0}}]))
        [('train', 'b'), ('train', 'c')]
    """
    for key, value in config.items():
        written = [file[key] for file in files if key in file]
        inner = [other for other in written if isinstance(other, Mapping)]
        if any(_same(value, other) for other in written):
            continue
        if isinstance(value, Mapping) and inner:
            yield from ((key, *rest) for rest in changed(value, inner))
        else:
            yield (key,)


def _same(value: Any, other: Any) -> bool:
    """Equal, and not as 1 equals True."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def is_used(identity: Id, used: Collection[Id]) -> bool:
    """Whether an id, something inside it or something around it is among those in use.

    Example:
        >>> [is_used(i, {("train", "data")}) for i in (("train",), ("train", "data", "0"), ("a",))]
        [True, True, False]
    """
    return any(
        other[: len(identity)] == identity or identity[: len(other)] == other for other in used
    )


def components(config: Mapping[str, Any], identity: Id) -> Iterator[tuple[Id, Mapping[str, Any]]]:
    """The component whose argument an id is, if it is one, and all components inside the id.

    Example:
        >>> config = {"a": {"_target_": "f", "x": [{"_target_": "g"}]}}
        >>> [where for where, _ in components(config, ("a", "x"))]
        [('a',), ('a', 'x', '0')]
    """
    level: Any = config
    for key in identity[:-1]:
        level = level[key]
    if isinstance(level, Mapping) and "_target_" in level:
        yield identity[:-1], level
    yield from _inside(level[identity[-1]], identity)


def _inside(value: Any, identity: Id) -> Iterator[tuple[Id, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield identity, value
        for key, child in value.items():
            yield from _inside(child, (*identity, key))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _inside(child, (*identity, str(index)))


def parameters(component: Mapping[str, Any], locator: ComponentLocator) -> set[str] | None:
    """Names of the arguments that a component's target takes.

    Args:
        component: with a ``_target_``.
        locator: knows the modules of MONAI's own names.

    Returns:
        ``None`` when that cannot be told: an expression, or a target that takes any.
    """
    target = component["_target_"]
    if not isinstance(target, str) or target.startswith("$"):
        return None
    component_of: Any = ConfigComponent({"_target_": target}, locator=locator)
    name = component_of.resolve_module_name()
    try:
        signature = inspect.signature(pydoc.locate(name))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return None if inspect.Parameter.VAR_KEYWORD in kinds else set(signature.parameters)
