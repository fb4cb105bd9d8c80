"""From raw scans to a training set
==================================

Scans come from the scanner as whole heads: each series in a pose and on a grid of its own, brighter
on one side than on the other, on a scale that means nothing. A network wants one grid, the brain
alone, and intensities that agree. Here you take six raw subjects to a training set, look at what
was done, and take a segmentation back to the scan that the radiologist sees.

The subjects are simulated (from the MNI152 tissue maps and the MR signal equations), so that the
true answers are known; with your own scans every line below stays as it is.
"""

# %%
# Raw scans
# ---------
#
# Six patients with multiple sclerosis, four series each, the lesions drawn on the FLAIR.
# As a command: ``monai-transfer simulate ms --raw --subjects 6 --output raw``.

import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from monai_transfer.data import check_datalist, manifest_path, read_datalist, read_manifest
from monai_transfer.imaging import named_recipe, read_image
from monai_transfer.preprocessing import preprocess_subject
from monai_transfer.simulation import simulate_cohort

work = Path("from_raw_scans_to_a_training_set").absolute()
raw = simulate_cohort("ms", work / "raw", subjects=6, spacing_mm=3.0, raw=True, progress=False)
scans = {
    modality: read_image(raw / f"sub-ms0001/anat/sub-ms0001_{suffix}.nii.gz")
    for modality, suffix in {"t1": "T1w", "flair": "FLAIR"}.items()
}
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for place, (modality, scan) in zip(axes, scans.items(), strict=True):
    place.imshow(scan.voxels[:, ::-1, scan.shape[2] // 2].T, cmap="gray")
    place.set_title(f"{modality}: {scan.shape} voxels")
    place.axis("off")

# %%
# One subject
# -----------
#
# A recipe says what a paper does to its scans. Ghafoorian 2017 registers T1 to FLAIR, takes the
# brain out of the head, and divides the bias field out.

recipe = named_recipe("g17")
print(recipe.preparation)
prepared = preprocess_subject(scans, recipe)

# %%
# Both modalities are on the FLAIR's grid now, and everything but the brain is 0.

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for place, (modality, image) in zip(axes, prepared.images.items(), strict=True):
    place.imshow(image.voxels[:, ::-1, image.shape[2] // 2].T, cmap="gray")
    place.set_title(f"{modality}: {image.shape} voxels")
    place.axis("off")

# %%
# How good is the mask? The simulation knows where the brain is. The mask is a little larger by
# intention: it holds the fluid between brain and skull.

truth = (
    read_image(raw / "sub-ms0001/truth/sub-ms0001_space-FLAIR_desc-brain_mask.nii.gz").voxels > 0
)
found = prepared.brain.voxels
print(f"{(found & truth).sum() / truth.sum():.1%} of the brain is in the mask")
assert (found & truth).sum() / truth.sum() > 0.9

# %%
# The whole cohort
# ----------------
#
# A manifest describes a raw data set once: its layout, modalities, labels, and the split. These
# scans have one already; yours is a page of JSON.

described = read_manifest(manifest_path("simulated_ms_raw"))
print(described.layout, dict(described.modalities), described.label, sep="\n")

# %%
# One command prepares all. A subject that fails stops no other; the same command goes on where it
# was interrupted, and does again only what changed.

command = "preprocess simulated_ms_raw --preset g17 --dataset-dir raw --output prepared"
options = "--validation 1 --test 1 --workers 2"
words = [sys.executable, "-m", "monai_transfer", *command.split(), *options.split()]
done = subprocess.run(words, cwd=work, check=True, capture_output=True, text=True)
print(done.stdout.replace(str(work), "."))

# %%
# What is there now is named after BIDS derivatives: images, brain mask, label, the transform that
# took each scan to FLAIR, and a record of what the subject was made from.

print(*sorted(path.name for path in (work / "prepared/sub-ms0001/anat").iterdir()), sep="\n")

# %%
# The datalist is ready for ``--datalist`` of any bundle with these modalities. It passes the gate.

datalist = read_datalist(work / "prepared" / "datalist.json")
faults = check_datalist(datalist, work / "prepared")
print({part: len(datalist[part]) for part in ("training", "validation", "test")})
print([str(fault) for fault in faults])
assert not [fault for fault in faults if fault.severity == "error"]

# %%
# Look before you train
# ---------------------
#
# ``qc/index.html`` has a row of pictures for each subject, the worst registration first. These are
# one subject's: the moved scans with the edges of the FLAIR, and the outline of the brain.

figure, axes = plt.subplots(2, 1, figsize=(7, 6), layout="constrained")
for place, picture in zip(axes, ("registration", "brain"), strict=True):
    place.imshow(plt.imread(work / f"prepared/sub-ms0001/figures/sub-ms0001_{picture}.jpg"))
    place.axis("off")

# %%
# And back
# --------
#
# A model's segmentation lies on the prepared grid. Radiologists read the scan: the inverse of the
# same transform takes a label map there. Here the drawn lesions stand for a prediction.

prediction = read_image(work / "prepared/sub-ms0001/anat/sub-ms0001_space-FLAIR_dseg.nii.gz")
on_t1 = prepared.to_native(prediction, modality="t1")
volumes_ml = [
    float(np.count_nonzero(i.voxels) * i.spacing_mm.prod() / 1000) for i in (prediction, on_t1)
]
print(on_t1.shape, [f"{volume:.1f} mL" for volume in volumes_ml])
assert on_t1.shape == scans["t1"].shape

# %%
# Your own scans may as well be folders of DICOM files, one series in each, and your own
# registration or skull stripper can be plugged in: see *Prepare raw scans* among the how-tos.
