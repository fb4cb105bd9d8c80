"""The network of any bundle, built from its config without running code of the bundle."""

import pydoc
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigParser
from monai.bundle.scripts import _get_fake_spatial_shape
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import example_shape
from monai_transfer.transfer.sources import locate

_CONFIGS = ("inference", "train", "evaluate")
_SUFFIXES = ("json", "yaml", "yml")
_KNOWN = ("monai.networks.", "monai_transfer.networks.", "torch.nn.")
"""Modules whose networks a bundle may name."""

_LENGTH = re.compile(r"\$\s*len\(\s*(@[\w:#]+)\s*\)")
"""The one expression that is read without being run."""


@dataclass(frozen=True)
class Architecture:
    """A bundle's network, with the weights of its initialisation.

    Args:
        name: of the bundle.
        network: as the config's ``network_def`` builds it.
        example: sizes (channels, ...) of an image that it takes.
    """

    name: str
    network: nn.Module
    example: tuple[int, ...]


def read_architecture(
    bundle: str | Path, *, search: Sequence[Path] = (), trust: bool = False, size: int = 64
) -> Architecture:
    """Build the network that a bundle's config defines.

    Without `trust` nothing that the bundle brings is run: ``network_def`` must name networks of
    MONAI, torch or this package, and plain values, or references to them; of expressions, the
    length of a list is understood.

    Args:
        bundle: a folder, a zip of one, or a name in one of `search`.
        search: folders that hold bundles.
        trust: run the expressions and modules that the bundle's ``network_def`` names.
        size: of an image's axes that the metadata leave open (``"*"``).

    Raises:
        InputError: no such bundle, no config with ``network_def``, one that would run code, one
            that is no network, or metadata that do not say which images it takes.

    Example:
        >>> from monai_transfer.bundle import bundles_dir
        >>> read_architecture("ms_source", search=[bundles_dir()]).example
        (4, 16, 16, 16)
    """
    path = locate(str(bundle), search)
    name = path.stem if path.suffix == ".zip" else path.resolve().name
    with _folder(path) as folder:
        config = _config(name, folder)
        network = _trusted(folder, config) if trust else _plain_network(name, config)
        if not isinstance(network, nn.Module):
            raise InputError(name, "network_def", "be a network", got=type(network).__name__)
        return Architecture(name, network, example_shape(network) or _example(name, folder, size))


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """The bundle's folder, unpacked for as long as it is needed."""
    if path.is_dir():
        yield path
        return
    if not zipfile.is_zipfile(path):
        raise InputError(path.name, "bundle", "be a folder or a zip of one")
    with tempfile.TemporaryDirectory() as unpacked, zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if "/models/" not in f"/{name}"]
        archive.extractall(unpacked, members)
        roots = [found.parent for found in sorted(Path(unpacked).rglob("configs"))]
        if not roots:
            raise InputError(path.name, "bundle", "hold a folder configs")
        yield roots[0]


def _config(name: str, folder: Path) -> dict[str, Any]:
    for stem in _CONFIGS:
        for suffix in _SUFFIXES:
            path = folder / "configs" / f"{stem}.{suffix}"
            if path.is_file():
                config: dict[str, Any] = ConfigParser.load_config_file(path)
                if "network_def" in config:
                    return config
    rule = "have network_def in one of its configs"
    raise InputError(name, "bundle", rule, todo=f"Looked at are {', '.join(_CONFIGS)}.")


def _trusted(folder: Path, config: Mapping[str, Any]) -> Any:
    parser = ConfigParser({**config, "bundle_root": str(folder)})
    sys.path.insert(0, str(folder))
    try:
        return parser.get_parsed_content("network_def")
    finally:
        sys.path.remove(str(folder))


def _plain_network(name: str, config: Mapping[str, Any]) -> Any:
    plain = _Plain(name, config).value(config["network_def"])
    return ConfigParser({"network_def": plain}).get_parsed_content("network_def")


class _Plain:
    """A config's values with references written out; refuses what would run code."""

    def __init__(self, bundle: str, config: Mapping[str, Any]) -> None:
        self.bundle, self.config = bundle, config
        self.locator = ComponentLocator()

    def value(self, value: Any, *, within: tuple[str, ...] = ()) -> Any:
        """A value without references; `within` are the references that led to it."""
        if isinstance(value, Mapping):
            if "_target_" in value:
                self._require_network(value["_target_"])
            return {key: self.value(inner, within=within) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner, within=within) for inner in value]
        if not isinstance(value, str):
            return value
        if length := _LENGTH.fullmatch(value):
            return len(self.value(length[1], within=within))
        if value.startswith(("$", "%")):
            raise self._refusal(value)
        return self._referred(value, within) if value.startswith("@") else value

    def _referred(self, reference: str, within: tuple[str, ...]) -> Any:
        found: Any = self.config
        for key in re.split("#|::", reference[1:]):
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                raise InputError(
                    self.bundle, "network_def", "refer to what is there", got=reference
                )
        if reference in within:
            raise InputError(self.bundle, "network_def", "not refer to itself", got=reference)
        return self.value(found, within=(*within, reference))

    def _require_network(self, target: Any) -> None:
        component: Any = ConfigComponent({"_target_": target}, locator=self.locator)
        plain = isinstance(target, str) and not target.startswith(("$", "@", "%"))
        name = component.resolve_module_name() if plain else None
        known = isinstance(name, str) and name.startswith(_KNOWN)
        found = pydoc.locate(str(name)) if known else None
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise self._refusal(target)

    def _refusal(self, got: Any) -> InputError:
        rule = "name networks of MONAI, torch or this package, and plain values"
        todo = "It would run code of the bundle: --trust allows that."
        return InputError(self.bundle, "network_def", rule, got=got, todo=todo)


def _example(name: str, folder: Path, size: int) -> tuple[int, ...]:
    """As MONAI's ``verify_net_in_out`` takes it from the metadata."""
    where = f"{name} metadata.json"
    try:
        metadata = ConfigParser.load_config_file(folder / "configs" / "metadata.json")
        image = metadata["network_data_format"]["inputs"]["image"]
        spatial = _get_fake_spatial_shape(image["spatial_shape"], any=size)
        return int(image["num_channels"]), *spatial
    except (OSError, ValueError, KeyError, TypeError) as error:
        rule = "say num_channels and spatial_shape of the input image"
        raise InputError(where, "it", rule, got=f"{type(error).__name__}: {error}") from error
