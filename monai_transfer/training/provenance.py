"""What a run was: written beside its results as ``run.json``."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_transfer import __version__
from monai_transfer._files import written_aside
from monai_transfer.training.files import read_checkpoint
from monai_transfer.training.session import CHECKPOINT, Session
from monai_transfer.transfer import Adaptation

_PACKAGES = ("monai", "torch", "pytorch-ignite", "numpy", "scipy", "nibabel", "nilearn")


class RunRecord:
    """Collects what is known of a run from its start, and writes it at its end.

    Args:
        output_dir: the run's folder; made when the run begins.
        config: the resolved configuration; plain values only.
        data: what the data are; plain values, ``sha256`` among them.
        resume: go on with the run that is in the folder, if there is one.
    """

    def __init__(
        self,
        output_dir: str | Path,
        config: Mapping[str, Any],
        *,
        data: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.config, self.data, self.resume = dict(config), dict(data or {}), resume
        self.session = Session(self.output_dir)
        self.earlier: dict[str, Any] | None = None  # what the checkpoint holds to go on from
        self.interruptions = 0
        self.tracking: Any = None  # what follows the run elsewhere, once it is attached
        self._started, self._seconds_before = time.time(), 0.0

    def begin(self) -> None:
        """Take the folder, and read the checkpoint to go on from.

        Raises:
            InputError: another run is in the folder, it cannot be written, or the checkpoint is
                not whole.
        """
        self.session.begin(resume=self.resume)
        checkpoint = self.output_dir / CHECKPOINT
        if self.resume and checkpoint.exists():
            with self.session.running():
                self.earlier = read_checkpoint(checkpoint)

    @property
    def seconds(self) -> float:
        """How long the run has been on, interruptions left out."""
        return self._seconds_before + time.time() - self._started

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"seconds": self.seconds, "interruptions": self.interruptions}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._seconds_before = state["seconds"]
        self.interruptions = state["interruptions"] + 1

    def write(self, adaptation: Adaptation, **more: Any) -> Path:
        """Write ``run.json``, aside and renamed.

        Args:
            adaptation: the network's; its report and freeze proof are recorded.
            more: further plain values, such as the subjects and the scores.

        Returns:
            The file's path.
        """
        record = {
            "monai_transfer": __version__,
            "commit": commit(),
            "versions": versions(),
            "device": device_name(),
            "config": self.config,
            "transfer": adaptation.report.as_dict(),
            "frozen_sha256": dict(adaptation.frozen),
            "data": self.data,
            "seconds": round(self.seconds, 1),
            "interruptions": self.interruptions,
            "peak_memory_mb": peak_memory_mb(),
            **more,
        }
        path = self.output_dir / "run.json"
        with written_aside(path) as aside:
            aside.write_text(json.dumps(record, indent=2, default=str), "utf-8")
        return path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


def commit() -> str | None:
    """Commit of the checkout this package lies in; ``None`` when it lies in none."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():  # installed, perhaps inside somebody else's checkout
        return None
    command = ["git", "-C", os.fspath(checkout), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def device_name() -> str:
    """The accelerator's model, or the processor's architecture."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()


def peak_memory_mb() -> dict[str, int]:
    """Peak resident memory of this process (where the system tells it) and on the GPU, in MB."""
    peak = {}
    if sys.platform != "win32":
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak["host"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() // 2**20
    return peak
