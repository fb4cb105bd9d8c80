"""Fine-tune on twenty scans
=========================

You have twenty labelled scans of brain tumours, and a model that somebody trained on something
else: multiple-sclerosis lesions. Kaur 2019 asked whether such a model helps. Here you try it, from
files on disk to segmentations and scores.

The scans are simulated (from the MNI152 tissue maps and the MR signal equations), written in the
layout of BraTS 2018: with the real data set in its place, every line below stays as it is.
"""

# %%
# Scans
# -----
#
# The first command makes 28 subjects at 2 mm: 20 to train on, 4 to choose the epoch, 4 to test on.
# At 1 mm, as BraTS is, everything takes eight times as long.

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from monai_transfer.bundle import bundles_dir
from monai_transfer.data import (
    build_datalist,
    check_datalist,
    manifest_path,
    nested_subset,
    read_manifest,
    write_datalist,
)
from monai_transfer.metrics import read_csv, summary

work = Path("fine_tune_on_twenty_scans").absolute()
scans = work / "scans"
command = [sys.executable, "-m", "monai_transfer", "simulate", "brats"]
options = ["--subjects", "28", "--spacing-mm", "2", "--workers", "2", "--output", str(scans)]
subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
print(*sorted(path.name for path in next(scans.glob("HGG/*")).iterdir()), sep="\n")

# %%
# Which scan is for what
# ----------------------
#
# A manifest describes the layout of a data set; from it and the folder comes a datalist, split by
# patient with the share of high and low grades kept in every part.

manifest = read_manifest(manifest_path("simulated_brats"))
datalist = build_datalist(manifest, scans, validation=4, test=4)
print({part: len(datalist[part]) for part in ("training", "validation", "test")})

# %%
# Every training run passes the gate first: all files are read, and every fault is named. A clean
# data set has none.

faults = check_datalist(datalist, scans)
print(len(faults), "faults")
assert not faults
write_datalist(datalist, work / "datalist.json")

# %%
# Subsets are nested: the first four of the twenty are what you would have had with four scans, and
# the grades keep their share. So a study over sizes compares sizes, not luck.

four = nested_subset(datalist["training"], 4, seed=0)
twenty = nested_subset(datalist["training"], 20, seed=0)
assert four == twenty[:4]
print([entry["group"] for entry in four])

# %%
# Fine-tune
# ---------
#
# The bundle ``brats_ft`` starts from the bundle ``ms_source``. Strategy ``all`` is Kaur's FT-All:
# encoder and decoder are copied, the last three layers start anew, everything is trained. Its twin
# without transfer is ``--strategy scratch``; ``decoder`` and ``head`` freeze the rest. Four epochs
# show how it works; the bundle's own setting takes 40. In so few epochs the class weights must come
# down to 1 faster than by default, or the network marks far too much.

run = work / "run"
config = bundles_dir() / "brats_ft" / "train.json"
command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config)]
options = [
    *("--dataset_dir", str(scans), "--datalist", str(work / "datalist.json")),
    *("--strategy", "all", "--cases", "20", "--output_dir", str(run)),
    *("--epochs", "4", "--class_weight_decay", "0.2"),
]
done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
print(done.stdout[done.stdout.index("Transfer:") :])

# %%
# The report accounts for every tensor: encoder and decoder came from the source, the head is fresh,
# nothing is frozen. After training comes the test, scored on the scans' original grids.
#
# What a run leaves
# -----------------
#
# Weights, predictions, pictures, and ``run.json``, which says how to repeat it.

record = json.loads((run / "run.json").read_text())
totals = record["transfer"]["totals"]
print({action: count["tensors"] for action, count in totals.items()})
print(record["seconds"], "seconds")

# %%
# The scores are a table, a row for each subject and region.

scores = read_csv(run / "metrics.csv")
print(summary(scores).query("metric == 'dice'").round(3).to_string(index=False))

# %%
# Look at the segmentations before you believe a mean: the best, the median and the worst subject.

figure, axes = plt.subplots(figsize=(8, 8), layout="constrained")
axes.imshow(plt.imread(run / "overlays.png"))
axes.axis("off")

# %%
# With ``--strategy scratch`` and everything else equal you have the comparison of the paper's
# figure 2. Your own scans need a manifest of their own: see *Use my own data* among the how-tos.
