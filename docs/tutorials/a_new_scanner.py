"""A new scanner: how many layers, how many scans?
===============================================

Your model finds white matter hyperintensities on the scans of yesterday. Then the scanner is
replaced: thinner slices, another contrast. Ghafoorian 2017 asked what a handful of newly labelled
scans can do about it, and which layers of the network to train on them. Here you ask the same, for
a small simulated cohort: the same patients scanned twice, by an old and by a new protocol.
"""

# %%
# Patients, twice
# ---------------
#
# One command simulates the patients and both of their visits. The old protocol has FLAIR slices of
# 5 mm with gaps of 1 mm, the new one of 3 mm with gaps of 0.5 mm and other times.

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd

from monai_transfer.bundle import bundles_dir

work = Path("a_new_scanner").absolute()
scans = work / "scans"


def run(*arguments: str) -> str:
    """A command of this package or of MONAI; what it prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


size = ["--subjects", "12", "--spacing-mm", "3", "--workers", "2"]
print(run("monai_transfer", "simulate", "wmh", *size, "--output", str(scans)))

# %%
# The first patient who came twice, at the level of the ventricles: the same brain, with more
# disease five years later, seen by two scanners.

patient = sorted(path.parent.name for path in scans.glob("*/ses-followup"))[0]
figure, axes = plt.subplots(1, 2, figsize=(8, 4.6), layout="constrained")
for axis, session in zip(axes, ("baseline", "followup"), strict=True):
    name = f"{patient}_ses-{session}_FLAIR.nii.gz"
    image = nib.as_closest_canonical(nib.load(scans / patient / f"ses-{session}" / "anat" / name))
    voxels, (x_mm, y_mm, z_mm) = image.get_fdata(), image.header.get_zooms()
    axis.imshow(
        voxels[:, :, int(0.52 * voxels.shape[2])].T,
        cmap="gray",
        origin="lower",
        aspect=y_mm / x_mm,
        vmax=np.percentile(voxels[voxels > 0], 99.7),
    )
    axis.set_title(f"{session}: a slice every {z_mm:g} mm")
    axis.axis("off")

# %%
# The participants' table says who trains, who chooses the epoch, and who is the test: one split for
# both visits, so that nobody is trained on and tested at the same time.

print(pd.read_csv(scans / "participants.tsv", sep="\t")["split"].value_counts().to_string())

# %%
# The network, layer by layer
# ---------------------------
#
# How deep a layer lies is found by running the network once. ``--strategy last:3`` trains the last
# three, here the dense ones, and ``freeze:12`` says the same from the other end.

print(run("monai_transfer", "layers", "wmh_ft"))

# %%
# Both questions, one command
# ---------------------------
#
# The study trains a source on the old scans, tries it on the new ones as it is and with batch-norm
# statistics re-estimated without any label, and then trains with a few labelled scans: from
# scratch, and the last layers of the source. A size that takes a few minutes shows how it works;
# *Ghafoorian 2017 on simulated scanners*, among the explanations, has one that says more.

results = work / "study"
axes_of_it = ["--cases", "2", "--tuned", "3", "--seeds", "0"]
cost = ["--steps", "20", "--source-epochs", "3"]
data = ["--dataset-dir", str(scans), "--output-dir", str(results)]
print(run("monai_transfer", "study", "g17", *axes_of_it, *cost, *data))

# %%
# Dice over cases, with what costs no label as level lines, and the map of cases and layers. With
# these few steps and patients it tells little: compare runs of the size of your own question.

figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
for axis, name in zip(axes, ("dice_by_cases", "depth_by_cases"), strict=True):
    axis.imshow(plt.imread(results / f"{name}.png"))
    axis.axis("off")

# %%
# The paper's claims are held against the runs, whatever comes of it.

for verdict in json.loads((results / "claims.json").read_text()):
    print(f"{verdict['claim']}: {verdict['answer']}. {verdict['evidence']}")

# %%
# On scans of your own
# --------------------
#
# Describe the new scans by a manifest (*Use my own data*), bring them to what the source expects
# (*Prepare raw scans*, the recipe ``g17``), and train:

configs = bundles_dir() / "wmh_ft"
print(
    f"python -m monai.bundle run --config_file {configs.parent.name}/{configs.name}/train.json "
    "--dataset_dir DIR --datalist datalist.json --strategy last:3 --cases 5"
)
