"""A tiny cohort in the layout of BraTS 2018: three complete subjects of 8×9×7 voxels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import build_datalist, manifest_path, read_manifest

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
SUBJECTS = {"Brats18_A_1": "HGG", "Brats18_B_1": "HGG", "Brats18_C_1": "LGG"}


@dataclass(frozen=True)
class Cohort:
    """A folder of scans and its datalist: A and B or C for training, one of them for validation."""

    root: Path
    datalist: dict[str, Any]

    def entry(self, subject="Brats18_A_1"):
        entries = [*self.datalist["training"], *self.datalist["validation"]]
        return next(entry for entry in entries if entry["subject"] == subject)

    def file(self, token="t1", subject="Brats18_A_1"):
        return self.root / SUBJECTS[subject] / subject / f"{subject}_{token}.nii.gz"

    def write(self, token, voxels, *, affine=AFFINE, subject="Brats18_A_1"):
        path = self.file(token, subject)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, affine), path)

    def image(self, seed=99):
        """A picture that is in no file, unless it is written."""
        return np.random.default_rng(seed).integers(0, 1000, (8, 9, 7)).astype(np.int16)

    def label(self, shift=0):
        """The label of A; of the others with a shift."""
        voxels = np.zeros((8, 9, 7), np.uint8)
        voxels[2:5, 3:6, 2:4] = 2
        voxels[3, 4, 2:4] = 1
        voxels[4, 4, 3] = 4
        return np.roll(voxels, shift, axis=0)


@pytest.fixture
def brats():
    return read_manifest(manifest_path("simulated_brats"))


@pytest.fixture
def cohort(tmp_path, brats):
    bare = Cohort(tmp_path / "cohort", {})
    for index, subject in enumerate(SUBJECTS):
        for seed, token in enumerate(("t1", "t1ce", "t2", "flair")):
            bare.write(token, bare.image(10 * index + seed), subject=subject)
        bare.write("seg", bare.label(index), subject=subject)
    return Cohort(bare.root, build_datalist(brats, bare.root, validation=1, test=0))
