"""Where bundles lie, and where caches go. Imports nothing heavy: listing bundles is instant."""

import os
from pathlib import Path


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
