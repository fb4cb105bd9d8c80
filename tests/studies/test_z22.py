"""Which runs the study makes, without making them; then once in earnest, tiny."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.layout import subject_files, subject_folder
from monai_transfer.studies import Z22, z22

TABLE = "subject,group,region,dice,iou\na,,lesion,0.5,0.4\nb,,lesion,0.6,0.5\n"
SLICES = "metric,unit,empty,mean,n\ndice,slice,skip,0.5,9\niou,slice,skip,0.4,9\n"
DETECTION = (
    "subject,region,connectivity,overlap_cutoff_fraction,volume_cutoff_ml,truth_lesions,"
    "detected_lesions,prediction_lesions,false_positive_lesions,recall\n"
    "a,lesion,8,0.0,0.0,4,2,3,1,0.5\nb,lesion,8,0.0,0.0,4,1,3,1,0.25\n"
)
FEW = ("mri-segmentation", "natural-classification")


def finished(options: dict[str, str]) -> str:
    """What a run leaves."""
    folder = Path(options["output_dir"])
    for name, text in {
        "metrics.csv": TABLE,
        "slice_scores.csv": SLICES,
        "detection.csv": DETECTION,
    }.items():
        (folder / name).write_text(text)
    (folder / "model.pt").write_bytes(b"weights")
    return "epoch,loss\n1,2.0\n"


def simulated(disease: str, folder: Path, *, subjects: int, **_: Any) -> Path:
    """Tiny subjects, each with three slices that hold something."""
    for index in range(subjects):
        for content, path in subject_files(disease, index).items():
            voxels = np.zeros((4, 4, 5), np.int16)
            voxels[1:3, 1:3, 1:4] = 1 if "label" in content else 300 + index
            file = folder / subject_folder(disease, index) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), file)
    return folder


@pytest.fixture
def study(tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch) -> Z22:
    monkeypatch.setattr(z22, "simulate_cohort", simulated)
    runs.history = finished
    return Z22(tmp_path / "out", subjects=12, cases=(2, 4), seeds=(0, 1), sources=FEW, steps=3)


@pytest.fixture
def asked(study: Z22, runs: Any) -> dict[str, dict[str, str]]:
    """Options of each run that the study makes, by the name of its folder, in order."""
    study.run()
    return {Path(options["output_dir"]).name: options for options in runs.asked}


def test_sources_come_first_then_every_start_of_every_target(asked: dict[str, Any]):
    starts = ("scratch", *FEW)
    places = [("stroke", 2), ("stroke", 4), ("ms", 7), ("anatomy", 4)]
    assert list(asked) == [
        *(f"source-{name}" for name in FEW),
        *(
            f"target-{target}_source-{start}_cases-{cases}_seed-{seed}"
            for target, cases in places
            for seed in (0, 1)
            for start in starts
        ),
    ]


def test_there_are_more_pictures_than_brains(asked: dict[str, Any], study: Z22):
    stacks, brains = (
        len({path.parent for path in (study.output_dir / folder).rglob("*.nii.gz")})
        for folder in ("natural", "tissue")
    )
    assert (stacks, brains) == (48, 12)


def test_each_is_the_bundle_s_own_command(asked: dict[str, Any], study: Z22):
    weights = str(study.output_dir / "source-mri-segmentation" / "model.pt")
    for name, (config, folder, given) in {
        "source-mri-segmentation": ("tissue_source", "tissue", {"manifest": "simulated_tissue"}),
        "source-natural-classification": (
            "natural.json",
            "natural",
            {"manifest": "simulated_natural"},
        ),
        "target-ms_source-scratch_cases-7_seed-1": ("ms_ft", "ms", {"strategy": "scratch"}),
        "target-stroke_source-mri-segmentation_cases-2_seed-0": (
            "stroke_ft",
            "stroke",
            {"strategy": "encoder_latent", "source": weights, "cases": "2", "seed": "0"},
        ),
    }.items():
        options = asked[name]
        assert config in options["config_file"]
        assert options["dataset_dir"] == str(study.output_dir / folder)
        assert given.items() <= options.items()


def test_more_cases_are_not_more_steps(asked: dict[str, Any], study: Z22, runs: Any):
    """3 slices of each subject: of 2 cases 6, of 4 cases 12; either is one step of 32 slices."""
    epochs = {n: asked[f"target-stroke_source-scratch_cases-{n}_seed-0"]["epochs"] for n in (2, 4)}
    assert epochs == {2: "3", 4: "3"}


def test_what_is_finished_is_not_run_again(study: Z22, asked: dict[str, Any], runs: Any):
    before = (study.output_dir / "subjects.csv").read_bytes()
    study.run()
    assert len(runs.asked) == len(asked)
    assert (study.output_dir / "subjects.csv").read_bytes() == before
    replace(study, seeds=(0, 1, 2)).run()
    assert len(runs.asked) == len(asked) + 12


def test_results_are_by_target_and_source(study: Z22, asked: dict[str, Any]):
    subjects = pd.read_csv(study.output_dir / "subjects.csv")
    assert len(subjects) == 2 * 24  # two test subjects of each tuning
    assert set(subjects["source"]) == {"scratch", *FEW}
    detection = pd.read_csv(study.output_dir / "detection.csv")
    assert set(detection["target"]) == {"stroke", "ms"}
    claims = json.loads((study.output_dir / "claims.json").read_text())
    assert [claim["claim"] for claim in claims] == ["Z22.1", "Z22.2", "Z22.3"]


def test_weights_of_imagenet_are_a_source_of_their_encoder(study: Z22, runs: Any, tmp_path: Path):
    weights = tmp_path / "resnet50.pth"
    weights.write_bytes(b"weights")
    replace(study, seeds=(0,), filters=64, imagenet=weights).run()
    tuned = [o for o in runs.asked if "source-imagenet" in o["output_dir"]]
    assert len(tuned) == 4
    assert {(o["strategy"], o["source"], o["filters"]) for o in tuned} == {
        ("encoder", str(weights), "64")
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cases": ()}, "study: cases must list distinct values"),
        ({"sources": ("mri-segmentation",) * 2}, "sources must list distinct values"),
        ({"sources": ("tissue",)}, "source must be one of mri-autoencoding, "),
        ({"imagenet": Path("a.pth")}, "filters must be 64 with weights of ImageNet, got 8"),
    ],
)
def test_a_study_that_cannot_be_is_refused(changed: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        Z22(tmp_path, **changed)


@pytest.mark.slow
def test_the_command_runs_the_study_and_goes_on_without_what_is_finished(
    study_command: Callable[[str], str], tmp_path: Path
):
    tiny = "z22 --subjects 12 --spacing-mm 4 --cases 2 --seeds 0 --steps 2 --source-steps 2"
    tiny += " --sources natural-autoencoding mri-classification --output-dir out"

    said = study_command(tiny)
    out = tmp_path / "out"
    verdicts = json.loads((out / "claims.json").read_text())
    assert [verdict["claim"] for verdict in verdicts] == ["Z22.1", "Z22.2", "Z22.3"]
    assert all(verdict["claim"] in said for verdict in verdicts)
    subjects = pd.read_csv(out / "subjects.csv")
    starts = {"scratch", "natural-autoencoding", "mri-classification"}
    assert set(map(tuple, subjects[["target", "source"]].to_numpy())) == {
        (target, start) for target in ("stroke", "ms", "anatomy") for start in starts
    }
    assert subjects["dice"].dropna().between(0, 1).all()
    assert {"stroke_dice_by_cases.png", "detection.png"} <= {path.name for path in out.iterdir()}
    report = out / "target-ms_source-natural-autoencoding_cases-7_seed-0" / "transfer.json"
    tensors = json.loads(report.read_text())["tensors"]
    assert {t["part"]: t["action"] for t in tensors if t["part"] != "source"} == {
        "encoder": "loaded",
        "latent": "loaded",
        "decoder": "reset",
    }
    finished_at = {path: path.stat().st_mtime_ns for path in out.glob("*/status.json")}
    assert len(finished_at) == 2 + 9
    assert study_command(tiny).partition("┏")[2] == said.partition("┏")[2]  # the tables
    assert finished_at == {path: path.stat().st_mtime_ns for path in finished_at}
