"""Bundles: where they are, the data they run on, strict overrides, the catalogue and export."""

from monai_transfer.bundle.catalogue import BundleCard, list_bundles
from monai_transfer.bundle.cohort import Cohort, find_images, open_cohort
from monai_transfer.bundle.location import bundles_dir, new_run_dir, root, siblings
from monai_transfer.bundle.overrides import check_overrides, resolved_config

__all__ = [
    "BundleCard",
    "Cohort",
    "bundles_dir",
    "check_overrides",
    "find_images",
    "list_bundles",
    "new_run_dir",
    "open_cohort",
    "resolved_config",
    "root",
    "siblings",
]
