"""Where weights come from: our bundles, as folder, zip or name, checkpoints, public weights."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_transfer.errors import InputError, choice
from monai_transfer.transfer.published import is_published, locate_published, require_digest

_WRAPPERS = ("state_dict", "model", "network", "net")


@dataclass(frozen=True)
class Source:
    """Weights with what is known about them.

    Args:
        name: bundle or file name, never a path.
        state: tensors by name.
        modalities: modality of each input channel; ``None`` when nothing says.
        sha256: digest of the weight file.
        notes: what was done to read the file, one line each.
        remarks: name of a tensor → how it was changed already, or why no network can use it.
    """

    name: str
    state: Mapping[str, Tensor]
    modalities: tuple[str, ...] | None
    sha256: str
    notes: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)


def read_source(
    source: str | Path,
    *,
    search: Sequence[Path] = (),
    modalities: Sequence[str] | None = None,
) -> Source:
    """Read the weights of a bundle or of a checkpoint, without running any code of theirs.

    Args:
        source: a bundle folder, a zip of one, a bundle's name in one of `search`, or a checkpoint
            file (``.pt``, ``.pth``; a state dict, or one below ``state_dict``, ``model``,
            ``network`` or ``net``; a ``module.`` prefix is taken off); or public weights of an
            encoder by name, ``torchvision:resnet50`` or ``taskonomy:<task>``, whose file lies in
            ``checkpoints`` of ``torch.hub.get_dir()``.
        search: folders that hold bundles.
        modalities: of the input channels; ``None`` takes the bundle's ``channel_def``; of a
            checkpoint, that of the bundle in whose ``models`` it lies, or what ``run.json`` beside
            it says.

    Raises:
        InputError: nothing there, no weights in the bundle, or a file that is not a state dict;
            public weights that are not on this computer, with how to get them.
    """
    metadata: dict[str, Any] = {}
    published = is_published(str(source))
    path = locate_published(str(source)) if published else locate(str(source), search)
    if published:
        weights, name = path.read_bytes(), str(source)
        require_digest(path, hashlib.sha256(weights).hexdigest())
    elif path.is_dir():
        metadata, weights, name = _read_folder(path)
    elif zipfile.is_zipfile(path) and path.suffix == ".zip":
        metadata, weights, name = _read_zip(path)
    else:
        weights, name = path.read_bytes(), path.name
        modalities = modalities or _trained_on(path.absolute())
    state, notes = _state_dict(name, weights)
    notes = (f"read from {path.name}", *notes) if published else notes
    named = tuple(modalities) if modalities else _modalities(metadata)
    return Source(name, state, named, hashlib.sha256(weights).hexdigest(), notes)


def trained_modalities(weights: str | Path, *, default: Sequence[str]) -> list[str]:
    """Modalities that weights were trained on, one for each channel, by what lies beside them.

    Args:
        weights: a checkpoint, or a bundle as folder or zip.
        default: of a bundle, or of a run's folder, that is not there.

    Raises:
        InputError: weights beside which nothing says it.

    Example:
        >>> trained_modalities("no/such/model.pt", default=["flair"])
        ['flair']
    """
    path = Path(weights)
    is_bundle = path.is_dir() or path.suffix == ".zip"
    named = read_source(path).modalities if is_bundle else _trained_on(path.absolute())
    if named is None and path.exists():
        todo = "Say it: --modalities \"['flair']\", one for each channel."
        raise InputError(path.name, "weights", "tell what they were trained on", todo=todo)
    return list(named or default)


def locate(source: str, search: Sequence[Path]) -> Path:
    """Path of a bundle, zip or file.

    Args:
        source: a path, or a name in one of `search`.
        search: folders that hold bundles.

    Raises:
        InputError: there is none; the names that there are.
    """
    for candidate in (Path(source), *(folder / source for folder in search)):
        if candidate.exists():
            return candidate
    names = sorted(p.name for folder in search if folder.is_dir() for p in folder.iterdir())
    if names:
        raise choice("options", "source (or an existing path)", source, names)
    raise InputError("options", "source", "be a bundle, a zip or a checkpoint", got=source)


def _read_folder(folder: Path) -> tuple[dict[str, Any], bytes, str]:
    metadata, weights = folder / "configs" / "metadata.json", folder / "models" / "model.pt"
    for path in (metadata, weights):
        if not path.is_file():
            rule = f"hold {path.relative_to(folder)}"
            raise InputError(folder.name, "a source bundle", rule, todo="Train it first.")
    return json.loads(metadata.read_text("utf-8")), weights.read_bytes(), folder.resolve().name


def _read_zip(path: Path) -> tuple[dict[str, Any], bytes, str]:
    with zipfile.ZipFile(path) as archive:
        found = {}
        for ending in ("configs/metadata.json", "models/model.pt"):
            names = [n for n in archive.namelist() if n == ending or n.endswith(f"/{ending}")]
            if len(names) != 1:
                raise InputError(path.name, "a source bundle", f"hold one {ending}", got=len(names))
            found[ending] = archive.read(names[0])
    metadata = json.loads(found["configs/metadata.json"])
    return metadata, found["models/model.pt"], path.stem


def _modalities(metadata: Mapping[str, Any]) -> tuple[str, ...] | None:
    inputs = metadata.get("network_data_format", {}).get("inputs", {})
    channels = inputs.get("image", {}).get("channel_def")
    if channels is None:
        return None
    return tuple(channels[key] for key in sorted(channels, key=int))


def _trained_on(weights: Path) -> tuple[str, ...] | None:
    """Modalities of a checkpoint by what it lies in: a bundle, or a run's folder."""
    metadata, record = weights.parents[1] / "configs" / "metadata.json", weights.parent / "run.json"
    if weights.parent.name == "models" and metadata.is_file():
        return _modalities(json.loads(metadata.read_text("utf-8")))
    if not record.is_file():
        return None
    run = json.loads(record.read_text("utf-8"))
    told = [run.get(section, {}).get("modalities") for section in ("data", "config")]
    return next((tuple(named) for named in told if isinstance(named, list)), None)


def _state_dict(name: str, weights: bytes) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    try:
        content = torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True)
    except Exception as error:
        rule = "be a PyTorch file of plain tensors"
        got = str(error).splitlines()[0]
        todo = "Save its state_dict() with torch.save."
        raise InputError(name, "weights", rule, got=got, todo=todo) from error
    notes = []
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            notes.append(f"weights found below '{key}'")
    if not isinstance(content, Mapping) or not content:
        raise InputError(name, "weights", "be a state dict", got=type(content).__name__)
    strangers = [k for k, v in content.items() if not isinstance(v, Tensor)]
    if strangers:
        rule = "hold tensors only"
        raise InputError(name, "state dict", rule, got=", ".join(map(str, strangers[:5])))
    if all(key.startswith("module.") for key in content):
        content = {key.removeprefix("module."): value for key, value in content.items()}
        notes.append("prefix 'module.' taken off")
    return dict(content), tuple(notes)
