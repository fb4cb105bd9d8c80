"""What makes a run this run: going on with another is refused."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import ignite.distributed as idist

from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.training.provenance import RunRecord, versions
from monai_transfer.transfer import Adaptation

IMMATERIAL = frozenset(
    {
        *("resume", "output_dir", "debug", "num_workers", "device", "bundle_root"),
        *("dataset_dir", "datalist", "manifest"),  # the data themselves are compared
        *("picture_modality", "label_names"),
    }
)
"""Options, wherever they stand, that a training's result does not depend on."""


def identity(adaptation: Adaptation, record: RunRecord) -> dict[str, Any]:
    """What a checkpoint keeps of a run to know it again; plain values."""
    return {
        "config": json.loads(json.dumps(record.config, default=str)),
        "data": record.data.get("sha256"),
        "source": adaptation.report.source_sha256,
        "frozen": dict(adaptation.frozen),
        "processes": idist.get_world_size(),
        "versions": versions(),
    }


def require_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under other conditions.

    Other versions of the packages are told, not refused: the last bits may differ.

    Args:
        before: :func:`identity` from the checkpoint.
        now: that of this run.

    Raises:
        InputError: naming the option, the data, the source or the number of processes.
    """
    todo = "Undo the change, or begin a new run in another --output_dir."
    old, new = (dict(_leaves(kept["config"])) for kept in (before, now))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            rule = f"be what the run was begun with, {old.get(name, 'nothing')}"
            got = new.get(name, "nothing")
            raise InputError("options", name, rule, got=got, todo=todo)
    kinds = {"data": "the datalist", "source": "the source's weights", "frozen": "what is frozen"}
    for key, what in kinds.items():
        if before[key] != now[key]:
            raise InputError("resume", what, "be as when the run was begun", todo=todo)
    if before["processes"] != now["processes"]:
        rule = f"be {before['processes']}, as when the run was begun"
        raise InputError("resume", "the processes", rule, got=now["processes"], todo=todo)
    changed = [
        f"{name} {before['versions'].get(name)} → {version}"
        for name, version in now["versions"].items()
        if before["versions"].get(name) != version
    ]
    if changed:
        listed = ", ".join(changed)
        console.print(f"Other versions than the run began with: {listed}. Last bits may differ.")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Ids, as MONAI writes them, and values of everything plain in a config."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        items = enumerate(value)
    else:
        yield name, value
        return
    for key, inner in items:
        if str(key) not in IMMATERIAL:
            yield from _leaves(inner, f"{name}#{key}".lstrip("#"))
