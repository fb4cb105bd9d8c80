"""Choosing a source
=================

You want to segment strokes on T1, and ten scans are labelled. From which model should you start:
one that tells tissues apart, one that has learnt to draw brains, one that names what a slice holds?
And does it matter whether it has ever seen a brain? Zoetmulder 2022 asked this for three source
tasks and two domains. Here you ask it for a small simulated cohort.
"""

# %%
# Healthy brains, and strokes
# ---------------------------
#
# The sources learn from healthy people, whose tissues (and 16 structures) are labelled; the target
# are patients with a stroke. Both are simulated here, T1 alone, on the grid of the MNI template.

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd

from monai_transfer.bundle import bundles_dir

work = Path("choosing_a_source").absolute()


def run(*arguments: str) -> str:
    """A command of this package or of MONAI; what it prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


for disease in ("tissue", "stroke"):
    size = ["--subjects", "12", "--spacing-mm", "4", "--workers", "2"]
    print(run("monai_transfer", "simulate", disease, *size, "--output", str(work / disease)))


def axial(path: Path, level: float) -> np.ndarray:
    """The axial slice at a share of the volume's height, upright."""
    voxels = nib.as_closest_canonical(nib.load(path)).get_fdata()
    return voxels[:, :, int(level * voxels.shape[2])].T


shown = [
    ("T1", work / "tissue/sub-tissue0001/anat/sub-tissue0001_space-MNI_T1w.nii.gz"),
    ("tissues", work / "tissue/sub-tissue0001/anat/sub-tissue0001_space-MNI_dseg.nii.gz"),
    ("T1", work / "stroke/sub-stroke0001/anat/sub-stroke0001_space-MNI_T1w.nii.gz"),
    ("stroke", work / "stroke/sub-stroke0001/anat/sub-stroke0001_space-MNI_label-stroke_mask.nii.gz"),
]
