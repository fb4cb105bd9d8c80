"""The bundles there are, from their metadata alone."""

import json
from dataclasses import dataclass
from pathlib import Path

from monai_transfer.bundle.location import bundles_dir
from monai_transfer.errors import InputError


@dataclass(frozen=True)
class BundleCard:
    """What the catalogue shows of a bundle.

    Args:
        name: folder name.
        task: one sentence.
        channels: modality of each input channel.
        source: bundle it starts from; ``None`` for a source.
        score: what its weights reach, in words; ``None`` without weights.
    """

    name: str
    task: str
    channels: tuple[str, ...]
    source: str | None
    score: str | None


def list_bundles(folder: Path | None = None) -> list[BundleCard]:
    """Cards of all bundles in a folder, by name.

    Args:
        folder: ``None`` is :func:`~monai_transfer.bundle.location.bundles_dir`.

    Raises:
        InputError: metadata that cannot be read, naming the bundle.
    """
    found = sorted((folder or bundles_dir()).glob("*/configs/metadata.json"))
    return [_card(path.parents[1].name, path) for path in found]


def _card(name: str, path: Path) -> BundleCard:
    try:
        metadata = json.loads(path.read_text("utf-8"))
        image = metadata["network_data_format"]["inputs"]["image"]
        channels = image.get("channel_def", {})
        transfer = metadata.get("transfer", {})
        modalities = tuple(channels[key] for key in sorted(channels, key=int))
        source, score = transfer.get("source"), transfer.get("score")
        return BundleCard(name, metadata["task"], modalities, source, score)
    except (ValueError, KeyError, TypeError) as error:
        rule = "be as MONAI's bundle specification says"
        raise InputError(name, path.name, rule, got=f"{type(error).__name__}: {error}") from error
