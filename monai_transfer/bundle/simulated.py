"""The embedded default: a cohort simulated once into the cache folder."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from monai_transfer.bundle.entries import require_modalities
from monai_transfer.bundle.location import cache_dir
from monai_transfer.data import Manifest, find_subjects, manifest_path, read_manifest
from monai_transfer.errors import InputError, choice
from monai_transfer.simulation.record import REVISION
from monai_transfer.simulation.rules import check_request
from monai_transfer.simulation.visits import folder_of, sessions_of
from monai_transfer.training import console

_DEFAULTS = {
    "brats": (30, 2.0),
    "brats2015": (40, 2.0),
    "ms": (20, 1.0),
    "ms_t1": (30, 2.0),
    "wmh_baseline": (16, 1.0),
    "wmh_followup": (16, 1.0),
    "tissue": (40, 2.0),
    "structures": (40, 2.0),  # the folder of tissue
    "stroke": (60, 2.0),
    "anatomy": (35, 2.0),
    "natural": (40, 2.0),
}
"""Cohort → subjects and edge of a voxel in mm: what its bundle trains on in a few minutes."""

# A process of its own: the workers of a simulation import the main module, which in a notebook or
# in a script without a main guard would start the whole run again.
_SIMULATE = """
import json, sys
sys.path.append(sys.argv[2])
from monai_transfer.simulation import simulate_cohort
disease, folder, subjects, spacing_mm, workers = json.loads(sys.argv[1])
simulate_cohort(
    disease, folder, subjects=subjects, spacing_mm=spacing_mm, workers=workers, seed=0
)
"""


def simulated_default(
    cohort: str,
    modalities: Sequence[str],
    *,
    subjects: int | None = None,
    spacing_mm: float | None = None,
) -> tuple[Manifest, Path]:
    """The description and the folder of the simulated cohort that a run without data takes.

    It is made the first time, which one line says, and reused after that; a simulation that was
    interrupted goes on.

    Args:
        cohort: ``brats``, ``brats2015``, ``ms``, ``stroke``, ``anatomy``, ``natural``; ``ms_t1``,
            T1 alone with test patients; one session of the patients with hyperintensities,
            ``wmh_baseline`` or ``wmh_followup``, which are in one folder; or healthy adults with
            one of two labels, ``tissue`` or ``structures``, likewise.
        modalities: that the cohort must have.
        subjects: how many; ``None`` is 30 tumours of ``brats``, 20 patients with MS (30 of
            ``ms_t1``), 16 with hyperintensities, of whom some do not come to the second session, 60
            with a stroke, 35 with labelled regions, else 40.
        spacing_mm: edge of a voxel; ``None`` is 1 with ``ms`` and hyperintensities, else 2.

    Raises:
        InputError: an unknown cohort or modality, or a spacing out of range.
    """
    if cohort not in _DEFAULTS:
        raise choice("simulate", "cohort", cohort, _DEFAULTS)
    number, edge_mm = _DEFAULTS[cohort]
    number, edge_mm = subjects or number, float(spacing_mm or edge_mm)
    disease, session = folder_of(cohort)
    check_request(disease, spacing_mm=edge_mm, seed=0, protocol=None)
    manifest = read_manifest(manifest_path(f"simulated_{cohort}"))
    require_modalities(list(manifest.modalities), modalities)
    name = f"{disease}_{number}_subjects_{edge_mm:g}_mm_revision_{REVISION}"
    folder = cache_dir() / name
    come = sum(session in sessions_of(disease, index) for index in range(number))
    if _is_complete(manifest, folder, come):
        _say(f"the simulated cohort of {number} subjects in {folder} is reused.")
        return manifest, folder
    _say(f"simulating {number} subjects ({disease}) once, into {folder}")
    workers = max(1, min(_cores(), number // 8))  # each takes some seconds to start
    request = json.dumps([disease, str(folder), number, edge_mm, workers])
    package = str(Path(__file__).absolute().parents[2])
    subprocess.run([sys.executable, "-c", _SIMULATE, request, package], check=True)
    return manifest, folder


def _say(what: str) -> None:
    console.print(f"No data set given: {what}", highlight=False, markup=False, soft_wrap=True)


def _is_complete(manifest: Manifest, folder: Path, subjects: int) -> bool:
    try:
        return len(find_subjects(manifest, folder)) == subjects
    except InputError:
        return False


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
