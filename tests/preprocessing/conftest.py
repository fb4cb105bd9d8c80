"""A small raw cohort: three simulated subjects, scanned coarsely."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_transfer.data import read_manifest
from monai_transfer.imaging import (
    Image,
    Loading,
    Preparation,
    Recipe,
    Scaling,
    read_image,
    write_image,
)
from monai_transfer.imaging.registration import IDENTITY
from monai_transfer.preprocessing import Methods, Source, store
from monai_transfer.simulation import simulate_raw

MODALITIES = {"t1": "T1w", "flair": "FLAIR"}


def described(**changed: Any) -> dict[str, Any]:
    return {
        "name": "clinic",
        "description": "Simulated, raw.",
        "layout": "{subject}/{subject}_{modality}.nii.gz",
        "modalities": MODALITIES,
        "label": "{subject}/{subject}_lesion.nii.gz",
        "labels": {"0": "background", "1": "lesion"},
        "licence": "none",
        "citation": "none",
        "how_to_obtain": "these tests",
        "counts": None,
        "split": {"recipe": "stratified", "validation": 1, "test": 0, "source": "ours"},
        **changed,
    }


def recipe(**changed: Any) -> Recipe:
    plan: dict[str, Any] = {
        "reference": "flair",
        "registration": "rigid",
        "brain_extraction": True,
        "bias_field": True,
    }
    scaling = Scaling("percentiles", (1.0, 99.0))
    return Recipe("small", "ours", Preparation(**(plan | changed)), Loading(scaling))


@pytest.fixture(scope="session")
def describe() -> Callable[..., dict[str, Any]]:
    """What a manifest of these cohorts says, changed as asked."""
    return described


@pytest.fixture(scope="session")
def make_recipe() -> Callable[..., Recipe]:
    """A recipe with another preparation."""
    return recipe


@dataclass(frozen=True)
class Still:
    """A registration that leaves everything where it is: each series lies within some mm."""

    def __call__(self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None):
        assert fixed_mask is not None, "the brain is given to who aligns"
        assert fixed_mask.voxels.any()
        return IDENTITY


@pytest.fixture(scope="session")
def quick() -> Methods:
    """Methods without the time that registration takes."""
    return replace(Methods(), within=Still())


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the raw scans; never written to after this."""
    folder = tmp_path_factory.mktemp("raw")
    for index in range(3):
        series = simulate_raw("ms", index, spacing_mm=6.0, protocol="1.5T-clinic-3mm")
        name = f"sub-{index}"
        for modality, token in MODALITIES.items():
            one = series[modality]
            write_image(Image(one.voxels, one.affine), folder / name / f"{name}_{token}.nii.gz")
        flair = series["flair"]
        for token, voxels in (("lesion", flair.lesion), ("brain", flair.brain)):
            image = Image(np.asarray(voxels, np.uint8), flair.affine)
            write_image(image, folder / name / f"{name}_{token}.nii.gz")
    return folder


@pytest.fixture
def source(scans: Path, tmp_path: Path) -> Source:
    """The raw cohort, with brain masks."""
    path = tmp_path / "clinic.json"
    path.write_text(json.dumps(described()))
    return Source(read_manifest(path), scans, brain_masks="{subject}/{subject}_brain.nii.gz")


@pytest.fixture
def no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nilearn's viewer, which takes longer than all the rest at this size."""
    monkeypatch.setattr(store, "viewer", lambda prepared, plan: "<html></html>")


@pytest.fixture(scope="session")
def raw(scans: Path) -> Mapping[str, Image]:
    """One subject's scans."""
    return {m: read_image(scans / "sub-0" / f"sub-0_{t}.nii.gz") for m, t in MODALITIES.items()}
