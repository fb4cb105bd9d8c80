"""Choosing a source
=================

You want to segment strokes on T1, and few scans are labelled. From which model should you start:
one that tells tissues apart, one that has learnt to draw brains, one that names what a slice holds?
And must it have seen brains before? Zoetmulder 2022 asked this for three source tasks and two
domains. Here you ask it in small, of simulated patients.
"""

# %%
# Healthy brains, and strokes
# ---------------------------
#
# Sources learn from healthy people, whose tissues and 16 structures are labelled; the targets are
# patients with a stroke. Both are simulated here: T1 alone, in the space of the MNI template.

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

from monai_transfer.bundle import bundles_dir

work = Path("choosing_a_source").absolute()


def run(*arguments: str) -> str:
    """A command of this package or of MONAI; what it prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


for disease in ("tissue", "stroke"):
    size = ["--subjects", "12", "--spacing-mm", "4", "--workers", "2"]
    print(run("monai_transfer", "simulate", disease, *size, "--output", str(work / disease)))


def largest_slice(label: Path) -> int:
    """The axial slice with most of a label."""
    return int((nib.load(label).get_fdata() > 0).sum(axis=(0, 1)).argmax())


def show(axis: plt.Axes, path: Path, level: int, *, labels: bool = False) -> None:
    """Draw an axial slice, the front above."""
    voxels = nib.load(path).get_fdata()[:, :, level].T
    colours = {"cmap": "viridis", "interpolation": "nearest"} if labels else {"cmap": "gray"}
    axis.imshow(np.ma.masked_equal(voxels, 0), origin="lower", **colours)
    axis.set_facecolor("black")
    axis.set(xticks=[], yticks=[])


figure, axes = plt.subplots(1, 4, figsize=(11, 3.4), layout="constrained")
for pair, (disease, label) in zip(
    (axes[:2], axes[2:]),
    (("tissue", "desc-tissue_dseg"), ("stroke", "label-lesion_mask")),
    strict=True,
):
    stem = f"sub-{disease}0001"
    t1, truth = (
        work / disease / stem / "anat" / f"{stem}_space-MNI_{content}.nii.gz"
        for content in ("T1w", label)
    )
    show(pair[0], t1, largest_slice(truth))
    show(pair[1], truth, largest_slice(truth), labels=True)
    pair[0].set_title(f"{disease}: T1")
    pair[1].set_title("label")

# %%
# The parts of the network
# ------------------------
#
# All sources share the encoder, ResNet-50 with narrower layers, and a latent space. What
# follows is the task's own: a decoder that draws tissues or the image itself, or two dense layers
# that say which structures a slice holds. The strategy ``encoder_latent`` copies the shared parts
# and lets the rest begin at random; then all of it is tuned.

for name in ("tissue_source", "autoencoder_source", "structures_source", "stroke_ft"):
    card = json.loads((bundles_dir() / name / "configs" / "metadata.json").read_text())
    print(f"{name}: {card['task']}")

# %%
# One source, one target
# ----------------------
#
# A source is trained by its bundle, and another one starts from what it leaves. The sizes here are
# for a minute; ``paper.json`` beside each ``train.json`` has the paper's.


def train(bundle: str, disease: str, folder: str, **options: object) -> str:
    """Run a bundle on the simulated patients, on a grid of 4 mm."""
    config = str(bundles_dir() / bundle / "train.json")
    given = {
        "dataset_dir": work / disease,
        "manifest": f"simulated_{disease}",
        "output_dir": work / folder,
        "spacing_mm": 4.0,
        "epochs": 2,
        **options,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return run("monai.bundle", "run", "--config_file", config, *words)


train("tissue_source", "tissue", "source")
print(train("stroke_ft", "stroke", "tuned", source=work / "source/model.pt", cases=4))

# %%
# Before its training it printed what became of every tensor: encoder and latent space are loaded,
# the decoder is reset. After it, scores by subject, by axial slice as the paper has them, and the
# share of lesions that are found:

figure, axis = plt.subplots(figsize=(7, 5.5), layout="constrained")
axis.imshow(plt.imread(work / "tuned/detection.png"))
axis.axis("off")

# %%
# Two epochs teach nothing. What matters is that every source can be asked in the same way.
#
# Every source, every target
# --------------------------
#
# The study trains six sources, three tasks on T1 and on a stand-in for natural images (simulated
# textures and shapes, no photograph), and fine-tunes each on stroke, lesions of multiple sclerosis
# and anatomy, beside training from scratch; then it holds the paper's claims against the runs.
# It takes hours on a few processor cores, and goes on where it was stopped::
#
#     monai-transfer study z22 --output-dir runs/z22
#
# Public weights are sources too, once their files are on your disk: they want the paper's 64
# filters::
#
#     python -m monai.bundle run --config_file bundles/stroke_ft/train.json --filters 64 \
#         --source torchvision:resnet50 --strategy encoder
