"""Strict overrides: what would change nothing is a slip of the pen, not a wish.

MONAI takes any key on the command line: one that no config knows is added and never read.
"""

import errno
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import ignite.distributed as idist
from monai.bundle import ConfigComponent, ConfigWorkflow
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from monai_transfer.bundle.help import show_options
from monai_transfer.bundle.location import config_files
from monai_transfer.bundle.options import OPTIONS, check_kind, check_options
from monai_transfer.bundle.references import (
    Id,
    changed,
    components,
    is_used,
    normalised,
    parameters,
    reached,
    references,
    unfold,
)
from monai_transfer.bundle.tracking import require_tracker
from monai_transfer.bundle.workflow import root, running_config, running_workflow
from monai_transfer.errors import InputError, choice
from monai_transfer.training import is_program, require_usable

_TRACKING: Any = DEFAULT_MLFLOW_SETTINGS["configs"]
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)
_READ_BY_MONAI = frozenset({"imports", "bundle_root", "device", "dataset_dir", *_TRACKING})


def check_overrides(*, debug: bool = False) -> None:
    """Refuse overrides that would do nothing and options that cannot work; first item of ``run``.

    A key does something when another entry refers to it, when MONAI reads it, or when it is an
    argument that its target takes. What stands in the bundle's own files passes as it is.

    Under ``python -m monai.bundle`` an :class:`~monai_transfer.errors.InputError` from then on ends
    the program with its message alone, however deep MONAI wrapped it. ``--help`` lists the options,
    and ends it.

    Args:
        debug: keep the tracebacks.

    Raises:
        InputError: a key that nothing uses, with the close matches; or an option of another kind
            than its default, or out of its range; tracking without its packages; a transfer that
            cannot be made, or that leaves a training nothing to train.
        SystemExit: after the list of options.
    """
    if not debug and is_program():
        sys.excepthook = _say_input_errors
    workflow = running_workflow()
    if workflow is None:
        return
    if running_config().get("help") is True:
        show_options(Path(root()), running_config())
        raise SystemExit(0)
    require_tracker()
    config: dict[str, Any] = normalised(running_config())
    files = _files(Path(workflow.config_root_path))
    entries = _READ_BY_MONAI | {workflow.init_id, workflow.run_id, workflow.final_id}
    used = references(config) | {(entry,) for entry in entries}
    for identity in changed(config, list(files.values())):
        _require_use(identity, config, files, used)
        _require_parameters(identity, config, workflow)
        if len(identity) == 1:
            key = identity[0]
            check_kind(key, config[key], [file[key] for file in files.values() if key in file])
    given = [name for name in (*OPTIONS, "label_names") if name in config]
    options = {name: workflow.parser.get_parsed_content(name) for name in given}
    check_options(options)
    _require_place(options, config)
    if "adaptation" in config:  # an unknown strategy or source, before the data are opened
        adaptation = workflow.parser.get_parsed_content("adaptation")
        if ("optimizer",) in reached(config, (workflow.run_id,)):
            adaptation.parameter_groups(1.0)  # refused if nothing is left to train


def _require_place(options: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """The output folder can be written, and no other run's work is lost in it."""
    resume = bool(options.get("resume"))
    if resume and str(config["output_dir"]).startswith("$monai_transfer.bundle.new_run_dir"):
        todo = "Name the run's folder: --output_dir runs/…"
        raise InputError("options", "resume", "come with --output_dir", todo=todo)
    if "output_dir" in options and idist.get_rank() == 0:
        require_usable(options["output_dir"], resume=resume)


def _files(folder: Path) -> dict[str, Any]:
    """The configs beside the running one, by file name."""
    return {
        path.name: normalised(unfold(json.loads(path.read_text("utf-8"))))
        for path in config_files(folder)
    }


def _require_use(
    identity: Id, config: Mapping[str, Any], files: Mapping[str, Any], used: set[Id]
) -> None:
    if is_used(identity, used):
        return
    beside: set[Id] = set()
    for content in (config, *files.values()):
        level: Any = content
        for key in identity[:-1]:
            level = level.get(key, {}) if isinstance(level, Mapping) else {}
        if isinstance(level, Mapping):
            beside |= {(*identity[:-1], key) for key in level}
    name = "#".join(identity)
    owners = [file for file, content in files.items() if _holds(content, identity)]
    if "train.json" in owners:  # what is laid over it only gives it another value
        owners = [file for file in owners if "imports" in files[file]]
    if owners:
        rule, todo = "be read by the config that runs", f"It belongs to {', '.join(owners)}."
        raise InputError("options", name, rule, got="nothing that does", todo=todo)
    raise choice("options", "key", name, ("#".join(i) for i in beside if is_used(i, used)))


def _holds(content: Any, identity: Id) -> bool:
    for key in identity:
        if not isinstance(content, Mapping) or key not in content:
            return False
        content = content[key]
    return True


def _require_parameters(identity: Id, config: Mapping[str, Any], workflow: ConfigWorkflow) -> None:
    for where, component in components(config, identity):
        taken = parameters(component, workflow.parser.locator)
        for key in component:
            if taken is not None and key not in taken | ConfigComponent.non_arg_keys:
                names = ("#".join((*where, name)) for name in taken)
                raise choice("options", "key", "#".join((*where, key)), names)


def _say_input_errors(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """An exception hook: one line for an input error or a failing disk, all others in full."""
    cause: BaseException | None = error
    while cause is not None:
        disk = isinstance(cause, OSError) and cause.errno in _OF_THE_DISK
        if isinstance(cause, InputError) or disk:
            todo = ". Mend that; --resume True goes on from the last checkpoint." if disk else ""
            sys.stderr.write(f"error: {cause}{todo}\n(--debug True shows where it was raised)\n")
            return
        cause = cause.__cause__ or cause.__context__
    sys.__excepthook__(kind, error, trace)
