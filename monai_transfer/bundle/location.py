"""Where a bundle lies, which MONAI does not tell its config; and where runs and caches go."""

import inspect
import os
import time
from pathlib import Path
from types import FrameType

import ignite.distributed as idist
from monai.bundle import ConfigWorkflow


def running_workflow() -> ConfigWorkflow | None:
    """The MONAI workflow whose config is being evaluated further up the call stack.

    Returns:
        The nearest one; ``None`` under a bare ``ConfigParser``.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            return caller
        frame = frame.f_back
    return None


def root() -> str:
    """Folder of the bundle whose config is being evaluated, for ``"bundle_root"``.

    Returns:
        The folder of the first config file, a trailing ``configs`` taken off; the current folder
        under a bare ``ConfigParser`` (whoever parses so passes ``bundle_root`` itself).
    """
    workflow = running_workflow()
    folder = Path.cwd() if workflow is None else Path(workflow.config_root_path)
    folder = folder.absolute()
    return str(folder.parent if folder.name == "configs" else folder)


def siblings(bundle_root: str | Path) -> list[Path]:
    """Folders in which a source is looked up by name: the bundle's neighbours, then our own."""
    return [Path(bundle_root).parent, bundles_dir()]


def bundles_dir() -> Path:
    """The ``bundles`` folder of this checkout; of the current folder where there is no checkout."""
    checkout = Path(__file__).parents[2] / "bundles"
    return checkout if checkout.is_dir() else Path("bundles")


def new_run_dir(bundle: str) -> str:
    """A folder for a run's results that no other run has: ``runs/<bundle>/<date>_<time>``.

    Below the current folder, never inside the bundle: a run must not overwrite shipped weights.
    Nothing is created. All processes of a distributed run are given the same.

    Args:
        bundle: its name.
    """
    stem = Path("runs") / bundle / time.strftime("%Y-%m-%d_%H%M%S")
    candidate, n = stem, 1
    while candidate.exists():
        n += 1
        candidate = stem.with_name(f"{stem.name}_{n}")
    return str(idist.broadcast(str(candidate), src=0, safe_mode=True))


def cache_dir() -> Path:
    """Where simulated cohorts are kept: ``MONAI_TRANSFER_CACHE``, or the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MONAI_TRANSFER_CACHE") or Path(base) / "monai_transfer")
