"""The bundles there are, from their metadata alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_transfer.bundle.location import bundles_dir


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
    """
    found = sorted((folder or bundles_dir()).glob("*/configs/metadata.json"))
    return [_card(path.parents[1].name, json.loads(path.read_text("utf-8"))) for path in found]


def _card(name: str, metadata: dict[str, Any]) -> BundleCard:
    channels = metadata["network_data_format"]["inputs"]["image"]["channel_def"]
    transfer = metadata.get("transfer", {})
    return BundleCard(
        name,
        metadata["task"],
        tuple(channels[key] for key in sorted(channels, key=int)),
        transfer.get("source"),
        transfer.get("score"),
    )
