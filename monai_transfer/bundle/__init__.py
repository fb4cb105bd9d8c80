"""Bundles: where they are, the data they run on, strict overrides, the catalogue and export.

Names load on first use: ``list_bundles`` needs neither MONAI nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_transfer.bundle.architecture import Architecture, read_architecture
    from monai_transfer.bundle.catalogue import BundleCard, list_bundles
    from monai_transfer.bundle.cohort import Cohort
    from monai_transfer.bundle.exporting import export
    from monai_transfer.bundle.location import bundles_dir, expected_recipe, siblings
    from monai_transfer.bundle.opening import find_images, open_cohort
    from monai_transfer.bundle.overrides import check_overrides
    from monai_transfer.bundle.standard_scale import standard_scale_file
    from monai_transfer.bundle.submission import write_submission
    from monai_transfer.bundle.tracking import is_tracked, mlflow_handler
    from monai_transfer.bundle.workflow import as_handler, new_run_dir, resolved_config, root

_HOMES = {
    "Architecture": "architecture",
    "read_architecture": "architecture",
    "BundleCard": "catalogue",
    "list_bundles": "catalogue",
    "Cohort": "cohort",
    "find_images": "opening",
    "open_cohort": "opening",
    "export": "exporting",
    "bundles_dir": "location",
    "expected_recipe": "location",
    "siblings": "location",
    "check_overrides": "overrides",
    "is_tracked": "tracking",
    "mlflow_handler": "tracking",
    "as_handler": "workflow",
    "new_run_dir": "workflow",
    "resolved_config": "workflow",
    "root": "workflow",
    "standard_scale_file": "standard_scale",
    "write_submission": "submission",
}

__all__ = [
    "Architecture",
    "BundleCard",
    "Cohort",
    "as_handler",
    "bundles_dir",
    "check_overrides",
    "expected_recipe",
    "export",
    "find_images",
    "is_tracked",
    "list_bundles",
    "mlflow_handler",
    "new_run_dir",
    "open_cohort",
    "read_architecture",
    "resolved_config",
    "root",
    "siblings",
    "standard_scale_file",
    "write_submission",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
