"""A folder of tiny images in a layout of its own, with its manifest and datalist."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

MODALITIES = ("flair", "t1", "t2")  # another order than ours
GROUPS = ("high", "low")


@dataclass(frozen=True)
class Clinic:
    """Twelve subjects in two groups."""

    folder: Path
    manifest: Path

    def image(self, subject: str, name: str) -> Path:
        return self.folder / GROUPS[int(subject[-2:]) % 2] / subject / f"{name}.nii.gz"

    def write(self, path: Path, fill: float, *, channels: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (4, 5, 6, channels) if channels else (4, 5, 6)
        voxels = np.full(shape, fill, np.float32)
        voxels[0] = 0  # not constant
        nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 2, 1])), path)

    def entry(self, subject: str, **more: Any) -> dict[str, Any]:
        """Of a datalist, with the label that every subject has."""
        paths = [self.image(subject, name) for name in (*MODALITIES, "lesion")]
        relative = [path.relative_to(self.folder).as_posix() for path in paths]
        return {"image": relative[:-1], "label": relative[-1], "subject": subject} | more


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    description = {
        "name": "clinic",
        "description": "almost nothing",
        "layout": "{group}/{subject}/{modality}.nii.gz",
        "modalities": {name: name for name in MODALITIES},
        "label": "{group}/{subject}/lesion.nii.gz",
        "labels": {"0": "background", "1": "lesion"},
        "groups": list(GROUPS),
        "licence": "none",
        "citation": "none",
        "how_to_obtain": "this test",
        "counts": None,
        "split": {"recipe": "stratified", "validation": 2, "test": 2, "source": "ours"},
    }
    clinic = Clinic(tmp_path / "scans", tmp_path / "clinic.json")
    clinic.manifest.write_text(json.dumps(description))
    for number in range(12):
        subject = f"sub-{number:02}"
        for index, name in enumerate(MODALITIES, start=1):
            clinic.write(clinic.image(subject, name), index)
        clinic.write(clinic.image(subject, "lesion"), 1)
    return clinic


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., Path]:
    """Writes a datalist beside the images' folder, or where it is told."""

    def listed(path: Path | None = None, **lists: Any) -> Path:
        target = path or tmp_path / "list.json"
        content = {
            "name": "list",
            "modality": {str(i): name for i, name in enumerate(MODALITIES)},
            "labels": {"0": "background", "1": "lesion"},
            "training": [],
        } | lists
        target.write_text(json.dumps(content))
        return target

    return listed
