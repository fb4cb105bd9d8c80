"""What is asked of a study, refused before its first run rather than by each of its runs."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_transfer.bundle import bundles_dir
from monai_transfer.bundle.options import check_kind, check_options
from monai_transfer.errors import InputError, choice


def bundle_configs(bundle: str | os.PathLike[str], overlays: Sequence[str] = ()) -> list[Path]:
    """``train.json`` of a bundle and what is laid over it, as short as they can be typed.

    Args:
        bundle: folder, or the name of one of ours.
        overlays: names of further configs of it.

    Raises:
        InputError: no such bundle or config.

    Example:
        >>> [path.name for path in bundle_configs("brats_ft", ["multi_gpu_train.json"])]
        ['train.json', 'multi_gpu_train.json']
    """
    root = Path(bundle) if Path(bundle).is_dir() else bundles_dir() / bundle
    paths = [root / "configs" / name for name in ("train.json", *overlays)]
    for path in paths:
        if not path.is_file():
            todo = "monai-transfer bundles lists our bundles."
            raise InputError(os.fspath(bundle), f"config {path.name}", "exist", todo=todo)
    if all((root / path.name).is_file() for path in paths):  # the links beside configs/
        paths = [root / path.name for path in paths]
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]


def merged(configs: Sequence[Path]) -> dict[str, Any]:
    """Top-level entries of several configs, those of later files over those of earlier ones."""
    entries: dict[str, Any] = {}
    for path in configs:
        entries |= json.loads(path.read_text("utf-8"))
    return entries


def check_request(
    config: Mapping[str, Any], grid: Mapping[str, Sequence[Any]], options: Mapping[str, Any]
) -> None:
    """Refuse a grid and options that a bundle's runs would refuse.

    Args:
        config: of the bundle.
        grid: option → values.
        options: of every run.

    Raises:
        InputError: no value, the same value twice, an option the bundle does not have or whose
            value cannot work, one that is an axis too, or ``output_dir``.
    """
    if not grid or not all(grid.values()):
        raise InputError("study", "grid", "hold a value on every axis", got=dict(grid) or "none")
    for axis, values in grid.items():
        if len(set(values)) < len(values):
            raise InputError("study", axis, "list distinct values", got=list(values))
    for name in (*grid, *options):
        if name not in config:
            raise choice("study", "option", name, config)
        if name == "output_dir":
            raise InputError("study", name, "be left to the grid", got="an option of its runs")
        if name in grid and name in options:
            raise InputError("study", name, "be an axis or an option", got="both")
    points = [{axis: value} for axis, values in grid.items() for value in values]
    for setting in (options, *points):
        for name, value in setting.items():
            check_kind(name, value, [config[name]])
        check_options({k: v for k, v in setting.items() if not str(v).startswith("$")})
