"""What a config cannot know by itself: the workflow that evaluates it, its folder, its content."""

import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PureWindowsPath
from types import FrameType
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigWorkflow
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

_ENGINES: Any = DEFAULT_MLFLOW_SETTINGS["handlers_id"]
_TRACKING: Any = DEFAULT_MLFLOW_SETTINGS["configs"]


def running_workflow() -> ConfigWorkflow | None:
    """The MONAI workflow whose config is being evaluated further up the call stack.

    Returns:
        The nearest one; ``None`` under a bare ``ConfigParser``.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            return caller
        frame = frame.f_back
    return None


def root() -> str:
    """Folder of the bundle whose config is being evaluated, for ``"bundle_root"``.

    Returns:
        The folder of the first config file, a trailing ``configs`` taken off; the current folder
        under a bare ``ConfigParser`` (whoever parses so passes ``bundle_root`` itself).
    """
    workflow = running_workflow()
    folder = Path.cwd() if workflow is None else Path(workflow.config_root_path)
    folder = folder.absolute()
    return str(folder.parent if folder.name == "configs" else folder)


def new_run_dir(bundle: str) -> str:
    """A folder for a run's results that no other run has: ``runs/<bundle>/<date>_<time>``.

    Below the current folder, never inside the bundle: a run must not overwrite shipped weights.
    Nothing is created. All processes of a distributed run are given the same.

    Args:
        bundle: its name.
    """
    stem = Path("runs") / bundle / time.strftime("%Y-%m-%d_%H%M%S")
    candidate, n = stem, 1
    while candidate.exists():
        n += 1
        candidate = stem.with_name(f"{stem.name}_{n}")
    return str(idist.broadcast(str(candidate), src=0, safe_mode=True))


def as_handler(component: Any) -> Any:
    """The component itself, to list something defined elsewhere among an engine's handlers.

    MONAI's ``check_properties`` and MONAI Label take every item of a handler list to be a mapping
    with a ``_target_``: a plain ``"@loss"`` ends both with an error.

    Args:
        component: anything that can be attached to an engine.
    """
    return component


def running_config() -> dict[str, Any]:
    """The running workflow's configuration with its overrides; ``{}`` outside a workflow.

    Returns:
        Every entry as written, references and expressions included; without the metadata.
    """
    workflow = running_workflow()
    content: Any = {} if workflow is None else workflow.parser.config
    return {key: value for key, value in content.items() if key != "_meta_"}


def resolved_config() -> dict[str, Any]:
    """The :func:`running_config` for ``run.json``: a run's folder can be shared.

    Returns:
        The same, with the last part only of every absolute path, and without what ``--tracking``
        puts in: it changes no run, and the address of a store may hold a host and a password.
    """
    config = running_config()
    for name in _TRACKING.keys() - _ENGINES.keys() - {"output_dir"}:
        config.pop(name, None)
    added = [_TRACKING[engine] for engine in _ENGINES]
    shareable: dict[str, Any] = without_folders(_without(config, added))
    return shareable


def _without(value: Any, handlers: Sequence[Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner, handlers) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, handlers) for inner in value if inner not in handlers]
    return value


def without_folders(value: Any) -> Any:
    """Plain values with every absolute path cut down to its last part.

    Example:
        >>> without_folders({"dataset_dir": "/home/ada/brats", "cases": [4, "20"]})
        {'dataset_dir': 'brats', 'cases': [4, '20']}
    """
    if isinstance(value, Mapping):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str | PurePath):
        for kind in (PurePath, PureWindowsPath):
            path = kind(value)
            if path.is_absolute():
                return path.name
        return str(value)
    return value
