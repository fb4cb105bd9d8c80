"""Transfer learning for brain-MRI segmentation on MONAI.

Submodules load on first use, so that ``import monai_transfer`` costs nothing
and a MONAI config needs only ``"$import monai_transfer"``.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = (
    "bundle",
    "cli",
    "data",
    "errors",
    "imaging",
    "metrics",
    "networks",
    "simulation",
    "studies",
    "training",
    "transfer",
    "transforms",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
