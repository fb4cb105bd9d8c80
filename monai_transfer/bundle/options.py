"""The plain options of our bundles: of which kind, and in which range, they must be."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from monai_transfer.errors import InputError
from monai_transfer.metrics import METRICS
from monai_transfer.networks import CRITIC_INPUTS
from monai_transfer.training import GAN_CRITERIA

_DIVISOR = 8
"""What three poolings need a size to be a multiple of; twice that leaves two voxels below them."""

_MEANT = {"true": "True", "false": "False", "none": "'$None'", "null": "'$None'"}
"""What the command line takes for a text, and how to write what was meant."""


def check_kind(name: str, value: Any, defaults: Sequence[Any]) -> None:
    """Refuse an override of another kind than its default: the text ``"false"`` is true.

    Args:
        name: of the option.
        value: the override; an expression passes, its value is judged later.
        defaults: as the bundle's files have it; expressions and components among them allow all.

    Raises:
        InputError: naming the kind, and how to write it.
    """
    if isinstance(value, str) and value.startswith(("$", "@")):
        return
    meant = _MEANT.get(value.lower()) if isinstance(value, str) else None
    if meant is not None:
        todo = f"Write --{name} {meant}."
        raise InputError("options", name, f"not be the text {value!r}", todo=todo)
    kinds = [_kind(default) for default in defaults]
    if kinds and "any" not in (*kinds, _kind(value)) and _kind(value) not in kinds:
        rule = f"be {' or '.join(dict.fromkeys(kinds))}"
        raise InputError("options", name, rule, got=repr(value))


def _kind(value: Any) -> str:
    names = {bool: "True or False", int: "a number", float: "a number", str: "a text"}
    names |= {list: "a list", tuple: "a list"}
    if isinstance(value, str) and value.startswith(("$", "@")):
        return "any"
    return names.get(type(value), "any")


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse values that cannot work, before anything is trained.

    Args:
        options: by name; those without a rule are passed over.

    Raises:
        InputError: naming the option and its rule.

    Example:
        >>> check_options({"learning_rate": 3})
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: options: learning_rate must lie in (0, 1], got 3.
    """
    for name, value in options.items():
        if name in OPTIONS:
            rule, holds = OPTIONS[name]
            if not holds(value):
                raise InputError("options", name, rule, got=value)
    modalities, shown = options.get("modalities"), options.get("picture_modality")
    if modalities and shown is not None and shown not in modalities:
        raise InputError(
            "options", "picture_modality", f"be one of {_listed(modalities)}", got=shown
        )
    patch, window = options.get("patch_size"), options.get("window_size")
    if patch and window and any(p > w for p, w in zip(patch, window, strict=True)):
        rule = f"be at least patch_size, {_listed(patch)}, on each axis"
        raise InputError("options", "window_size", rule, got=_listed(window))
    labels = options.get("label_values")
    strangers = set(options.get("label_names") or ()) - {str(value) for value in labels or ()}
    if labels and strangers:
        rule = f"name label values {_listed(labels)} only"
        raise InputError("options", "label_names", rule, got=_listed(sorted(strangers)))
    for region, values in (options.get("regions") or {}).items():
        if labels and not set(values) <= set(labels):
            rule = f"hold label values {_listed(labels)} only"
            raise InputError("options", f"region {region}", rule, got=values)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


_Rule = tuple[str, Callable[[Any], bool]]


def _whole(least: int, *, or_none: bool = False) -> _Rule:
    rule = f"be a whole number of at least {least}" + " or '$None'" * or_none
    return rule, lambda v: (v is None and or_none) or (type(v) is int and v >= least)


def _above_0(most: float) -> _Rule:
    return f"lie in (0, {most:g}]", lambda v: _is_number(v) and 0 < v <= most


def _is_spacing(value: Any) -> bool:
    return value is None or (_is_number(value) and 0.1 <= value <= 10)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    least = 2 * _DIVISOR
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(n) is int and n >= least and n % _DIVISOR == 0 for n in value)
    )


def _are_distinct(value: Any, kind: type) -> bool:
    whole = isinstance(value, list | tuple) and all(type(v) is kind for v in value)
    return whole and len(set(value)) == len(value) > 0


def _are_labels(value: Any) -> bool:
    return _are_distinct(value, int) and value[0] == 0


def _are_values(value: Any) -> bool:
    return _are_distinct(value, int) and 0 not in value


def _are_regions(value: Any) -> bool:
    whole = isinstance(value, Mapping) and len(value) > 0
    return whole and all(isinstance(v, list | tuple) and len(v) > 0 for v in value.values())


def _are_metrics(value: Any) -> bool:
    return _are_distinct(value, str) and "dice" in value and set(value) <= set(METRICS)


def _is_device(value: Any) -> bool:
    try:
        device = torch.device(value)
    except (RuntimeError, TypeError):
        return False
    return device.type == "cpu" or (
        device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()
    )


_AT_LEAST_0: _Rule = ("be at least 0", lambda v: _is_number(v) and v >= 0)
_TRUTH: _Rule = ("be True or False", lambda v: isinstance(v, bool))
_SIZE: _Rule = (f"be three multiples of {_DIVISOR}, each at least {2 * _DIVISOR}", _is_size)
_TEXT: _Rule = ("be a text", lambda v: isinstance(v, str) and v != "")
_PATH_OR_NONE: _Rule = (
    "be a text or '$None'",
    lambda v: v is None or (isinstance(v, str | os.PathLike) and str(v) != ""),
)

OPTIONS: Mapping[str, _Rule] = {
    "dataset_dir": _PATH_OR_NONE,
    "datalist": _PATH_OR_NONE,
    "manifest": _TEXT,
    "output_dir": _TEXT,
    "resume": _TRUTH,
    "source": _PATH_OR_NONE,
    "weights": _TEXT,
    "cases": _whole(1, or_none=True),
    "seed": _whole(0),
    "epochs": _whole(1),
    "learning_rate": _above_0(1),
    "learning_rate_decay": _above_0(1),
    "weight_decay": ("lie in [0, 1]", lambda v: _is_number(v) and 0 <= v <= 1),
    "dropout": ("lie in [0, 1)", lambda v: _is_number(v) and 0 <= v < 1),
    "patience": _whole(1, or_none=True),
    "lesion_fraction": _above_0(1),
    "fixed_patches": _TRUTH,
    "flip": _TRUTH,
    "metrics": (f"list dice and others of {', '.join(METRICS)}", _are_metrics),
    "class_weight_decay": _above_0(1),
    "batch_size": _whole(1),
    "val_interval": _whole(1),
    "num_workers": _whole(0),
    "filters": _whole(1),
    "latent_channels": _whole(1),
    "hidden": _whole(1),
    "discriminator_filters": _whole(1),
    "l1_weight": _AT_LEAST_0,
    "gan_weight": _AT_LEAST_0,
    "gan_criterion": (f"be one of {', '.join(GAN_CRITERIA)}", lambda v: v in GAN_CRITERIA),
    "critic": (f"be one of {', '.join(CRITIC_INPUTS)}", lambda v: v in CRITIC_INPUTS),
    "dice_term": _TRUTH,
    "clip": _above_0(1),
    "spacing_mm": ("lie in [0.1, 10] or be '$None'", _is_spacing),
    "volume_size": (f"{_SIZE[0]}, or be '$None'", lambda v: v is None or _is_size(v)),
    "patch_size": _SIZE,
    "window_size": _SIZE,
    "domain_randomisation": ("lie in [0, 2]", lambda v: _is_number(v) and 0 <= v <= 2),
    "modality": _TEXT,
    "source_modality": ("be a text or '$None'", lambda v: v is None or _TEXT[1](v)),
    "modalities": ("list distinct names", lambda v: _are_distinct(v, str)),
    "tumour_values": ("list distinct whole numbers other than 0", _are_values),
    "label_values": ("list distinct whole numbers, 0 first", _are_labels),
    "device": ("be cpu, or cuda where there is a GPU", _is_device),
    "picture_modality": _TEXT,
    "regions": ("map names to lists of label values", _are_regions),
}
"""Name → rule, and the test of it."""
