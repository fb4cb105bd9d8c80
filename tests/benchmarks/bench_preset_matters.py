"""Dice of ``ms_source`` with the preset k19 and without it: whether preparing scans matters.

    python tests/benchmarks/bench_preset_matters.py [--subjects 4] [--real ../shared/real]

Simulated subjects are made raw: whole heads, each series with its own pose, slices, bias field and
gain. "As they come" puts the series onto one grid by their headers, which is all that the network
needs to run; "brain alone" takes the brain out of that, and does nothing else; "k19" is what
``preprocess --preset k19`` makes of them: with the source's standard scale (``--standard-scale
ms_source``), with one learned from these subjects, and with none.
"Never raw" is the same body without head, pose and bias field: what the weights were trained on.
With ``--real``, two patients of the open MS set whose scans were prepared by their authors: k19
then comes on top. Segmentations go back to the grid of the FLAIR as it came (``restore``), and are
compared with the label there. Takes minutes.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from monai_transfer.bundle import standard_scale_file
from monai_transfer.data import read_manifest
from monai_transfer.imaging import (
    Image,
    Preparation,
    StandardScale,
    named_recipe,
    read_image,
    read_standard_scale,
    write_image,
)
from monai_transfer.imaging.registration import resample
from monai_transfer.preprocessing import Source, preprocess_cohort, restore
from monai_transfer.preprocessing.grids import on_one_grid
from monai_transfer.simulation import simulate_raw, simulate_subject

MODALITIES = ("t1", "t1c", "t2", "flair")
REAL_FILES = {"t1": "T1w", "t1c": "ce-gadolinium_T1w", "t2": "T2w", "flair": "FLAIR"}
INFERENCE = Path(__file__).resolve().parents[2] / "bundles" / "ms_source" / "inference.json"


def write_subject(folder: Path, images: Mapping[str, Image], label: Image) -> None:
    """Under the layout of :func:`describe`."""
    for name, image in {**images, "lesion": label}.items():
        write_image(image, folder / f"{folder.name}_{name}.nii.gz")


def describe(folder: Path) -> None:
    """A manifest beside the subjects."""
    record: dict[str, Any] = {
        "name": folder.name,
        "description": "Of a benchmark.",
        "layout": "{subject}/{subject}_{modality}.nii.gz",
        "modalities": {name: name for name in MODALITIES},
        "label": "{subject}/{subject}_lesion.nii.gz",
        "labels": {"0": "background", "1": "lesion"},
        "licence": "that of the scans",
        "citation": "none",
        "how_to_obtain": "this benchmark",
        "counts": None,
        "split": {"recipe": "stratified", "validation": 0, "test": 0, "source": "ours"},
    }
    (folder / "manifest.json").write_text(json.dumps(record))


def simulate(root: Path, subjects: int) -> None:
    """Folders ``raw`` and ``never_raw`` of the same bodies."""
    for index in range(subjects):
        series = simulate_raw("ms", index)
        scans = {name: Image(series[name].voxels, series[name].affine) for name in MODALITIES}
        flair = series["flair"]
        write_subject(root / "raw" / f"sub-{index}", scans, Image(flair.lesion, flair.affine))
        body = simulate_subject("ms", index)
        affine = body.grid.affine
        images = {m: Image(v, affine) for m, v in zip(MODALITIES, body.image, strict=True)}
        write_subject(root / "never_raw" / f"sub-{index}", images, Image(body.label, affine))


def copy_real(root: Path, shared: Path) -> None:
    """Folder ``raw`` of the two patients."""
    for name in ("sub-cs07", "sub-cs19"):
        begin = f"{shared}/openms-cs/{name}/anat/{name}_space-MNI_"
        images = {m: read_image(f"{begin}{suffix}.nii.gz") for m, suffix in REAL_FILES.items()}
        label = read_image(f"{begin}label-lesion_mask.nii.gz")
        write_subject(root / "raw" / name, images, label)


def put_on_one_grid(raw: Path, folder: Path) -> None:
    """Every series on the FLAIR's grid, by the headers alone."""
    for subject in (path for path in raw.iterdir() if path.is_dir()):
        scans = {m: read_image(subject / f"{subject.name}_{m}.nii.gz") for m in MODALITIES}
        flair = scans["flair"]
        moved = {m: s if on_one_grid(s, flair) else resample(s, flair) for m, s in scans.items()}
        write_subject(
            folder / subject.name, moved, read_image(subject / f"{subject.name}_lesion.nii.gz")
        )
    shutil.copy(raw / "manifest.json", folder)


def segment(folder: Path, output: Path) -> Path:
    """As a user would, but without the refusal of what was not prepared."""
    options = ["--dataset_dir", folder, "--manifest", folder / "manifest.json"]
    options += ["--output_dir", output, "--prepared", "$None"]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", INFERENCE, *options]
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    return output


def prepare(
    source: Path, output: Path, plan: Preparation, *, scale: StandardScale | None = None
) -> Path:
    """As ``preprocess`` does, by K19's recipe with another preparation."""
    recipe = replace(named_recipe("k19"), preparation=plan)
    cohort = Source(read_manifest(source / "manifest.json"), source)
    failures = preprocess_cohort(cohort, recipe, output, scale=scale, workers=2).failures
    if failures:
        raise SystemExit(str(failures))
    return output


def dice(found: Image, truth: Image) -> float:
    """Of two masks on one grid."""
    a, b = found.voxels > 0, truth.voxels > 0
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def scores(cohort: Path, scans: Path, *, restored: bool) -> dict[str, float]:
    """Subject → Dice of what is found in a cohort, on the grid of the scans as they came.

    Args:
        cohort: what the network gets.
        scans: with the labels.
        restored: bring segmentations back to the FLAIR first.
    """
    output = segment(cohort, cohort.with_name(f"found_{cohort.name}"))
    result = {}
    for name in sorted(path.name for path in scans.iterdir() if path.is_dir()):
        found = read_image(output / f"{name}.nii.gz")
        if restored:
            found = restore(found, cohort / name, modality="flair")
        result[name] = dice(found, read_image(scans / name / f"{name}_lesion.nii.gz"))
    return result


def measured(root: Path) -> dict[str, dict[str, float]]:
    """Route → subject → Dice."""
    raw, one_grid, never = root / "raw", root / "one_grid", root / "never_raw"
    describe(raw)
    put_on_one_grid(raw, one_grid)
    stripped = prepare(one_grid, root / "stripped", Preparation(brain_extraction=True))
    k19 = named_recipe("k19").preparation
    theirs = read_standard_scale(standard_scale_file("ms_source"))
    prepared = {
        "k19, source's scale": prepare(raw, root / "source_scale", k19, scale=theirs),
        "k19, own scale": prepare(raw, root / "own_scale", k19),
        "k19, no scale": prepare(raw, root / "no_scale", replace(k19, nyul=False)),
    }
    found = {
        "as they come": scores(one_grid, raw, restored=False),
        "brain alone": scores(stripped, raw, restored=True),
    }
    found |= {name: scores(folder, raw, restored=True) for name, folder in prepared.items()}
    if never.exists():
        describe(never)
        found["never raw"] = scores(never, never, restored=False)
    return found


def show(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    """A row for each subject, and the mean."""
    table = Table("subject", *found, title=title)
    for name in next(iter(found.values())):
        table.add_row(name, *(f"{route[name]:.2f}" for route in found.values()))
    means = (f"{np.mean([*route.values()]):.2f}" for route in found.values())
    table.add_row("mean", *means)
    Console(width=100).print(table)


def main() -> None:
    """Simulate, prepare, segment, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--folder", type=Path, help="kept; a temporary one if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        if options.subjects:
            simulate(root / "simulated", options.subjects)
            show("simulated, made raw", measured(root / "simulated"))
        if options.real is not None:
            copy_real(root / "real", options.real)
            show("open MS, prepared by its authors", measured(root / "real"))


if __name__ == "__main__":
    main()
