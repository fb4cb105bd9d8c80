"""Strict overrides: a key that no config file knows is a slip of the pen, not a new key."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigWorkflow
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from monai_transfer.bundle.location import running_workflow
from monai_transfer.errors import InputError, choice

_TRACKING: Any = DEFAULT_MLFLOW_SETTINGS["configs"]
_RESERVED = frozenset({"_meta_", *_TRACKING})


def check_overrides(*, debug: bool = False, **options: Any) -> None:
    """Refuse overrides that would do nothing and options that cannot work; first item of ``run``.

    From then on an :class:`~monai_transfer.errors.InputError` ends the program with its message
    alone, however deep MONAI wrapped it.

    A key is known when one of the JSON files beside the running config has it. Below a
    ``_target_`` any key is left to the target itself, which refuses what it does not take.

    Args:
        debug: keep the tracebacks.
        options: numbers to check, by name: ``epochs``, ``cases`` and ``batch_size`` must be whole
            and at least 1, ``learning_rate`` and ``spacing_mm`` above 0 (at most 1 and 10).

    Raises:
        InputError: an unknown key, with the close matches; or an option out of its range.
    """
    if not debug:
        sys.excepthook = _say_input_errors
    workflow = running_workflow()
    if workflow is not None:
        files = sorted(Path(workflow.config_root_path).glob("*.json"))
        known = [json.loads(f.read_text("utf-8")) for f in files if f.name != "metadata.json"]
        for key, siblings in _unknown(_config(workflow), known):
            raise choice("options", "key", key, siblings)
    for name in ("epochs", "cases", "batch_size"):
        value = options.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError("options", name, "be a whole number of at least 1", got=value)
    for name, most in (("learning_rate", 1), ("spacing_mm", 10)):
        value = options.get(name, most)
        if value is None and name == "spacing_mm":  # each image's own grid
            continue
        if not isinstance(value, int | float) or not 0 < value <= most:
            raise InputError("options", name, f"lie in (0, {most}]", got=value)


def _unknown(
    config: Mapping[str, Any], known: list[Any], prefix: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Keys of a config that none of the known ones has, with those it could have meant."""
    siblings = {key for other in known if isinstance(other, Mapping) for key in other}
    for key, value in config.items():
        if not prefix and key in _RESERVED:
            continue
        if key not in siblings:
            yield f"{prefix}{key}", [f"{prefix}{sibling}" for sibling in siblings]
        elif isinstance(value, Mapping) and "_target_" not in value:
            inner = [other[key] for other in known if isinstance(other, Mapping) and key in other]
            if any(isinstance(other, Mapping) for other in inner):
                yield from _unknown(value, inner, f"{prefix}{key}#")


def _say_input_errors(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """An exception hook that prints an input error as one line, and all others in full."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            sys.stderr.write(f"error: {cause}\n(--debug True shows where it was raised)\n")
            return
        cause = cause.__cause__ or cause.__context__
    sys.__excepthook__(kind, error, trace)


def resolved_config() -> dict[str, Any]:
    """The running workflow's configuration with its overrides, for ``run.json``.

    Returns:
        Every entry as written, references and expressions included; ``{}`` outside a workflow.
    """
    workflow = running_workflow()
    if workflow is None:
        return {}
    return {key: value for key, value in _config(workflow).items() if key != "_meta_"}


def _config(workflow: ConfigWorkflow) -> dict[str, Any]:
    content: Any = workflow.parser.config
    return dict(content)
