"""Where bundles lie, and where caches go. Imports nothing heavy: listing bundles is instant."""

import json
import os
from pathlib import Path
from typing import Any


def bundles_dir() -> Path:
    """The ``bundles`` folder of this checkout; of the current folder where there is no checkout."""
    checkout = Path(__file__).parents[2] / "bundles"
    return checkout if checkout.is_dir() else Path("bundles")


def siblings(bundle_root: str | Path) -> list[Path]:
    """Folders in which a source is looked up by name: the bundle's neighbours, then our own."""
    return [Path(bundle_root).parent, bundles_dir()]


def cache_dir() -> Path:
    """Where simulated cohorts are kept: ``MONAI_TRANSFER_CACHE``, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MONAI_TRANSFER_CACHE") or Path(base) / "monai_transfer")


def config_files(configs: Path) -> list[Path]:
    """What MONAI can run of a bundle's ``configs``, by name: neither metadata nor a scale.

    Args:
        configs: the folder.
    """
    from monai_transfer.imaging.nyul import SCALE_FILE

    found = sorted(configs.glob("*.json"))
    return [path for path in found if path.name not in ("metadata.json", SCALE_FILE)]


def expected_recipe(bundle_root: str) -> dict[str, Any] | None:
    """The recipe that a bundle's images must have been prepared by, as its metadata hold it.

    A config asks for it instead of ``@_meta_``, which MONAI Label and other parsers do not load.

    Args:
        bundle_root: folder of the bundle.

    Returns:
        JSON object of a :class:`~monai_transfer.imaging.recipe.Recipe`; ``None`` without one,
        as for a config that was taken out of its bundle.
    """
    metadata = Path(bundle_root) / "configs" / "metadata.json"
    if not metadata.is_file():
        return None
    recipe: dict[str, Any] | None = json.loads(metadata.read_text("utf-8")).get("preprocessing")
    return recipe
