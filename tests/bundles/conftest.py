"""Copies of the bundles with random weights, and tiny simulated cohorts to run them on."""

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from monai.utils import set_determinism

from monai_transfer.data import build_datalist, manifest_path, read_manifest, write_datalist
from monai_transfer.networks import PathologyUNet
from monai_transfer.simulation import simulate_cohort

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {"brats_ft": 4, "ms_source": 2}
DISEASES = {"brats_ft": "brats", "ms_source": "ms"}
SUBJECTS, SPACING_MM = 5, 6.0


@dataclass(frozen=True)
class Room:
    """A folder with both bundles, a cohort for each, and the options that make a run tiny."""

    bundles: Path
    data: Path

    def bundle(self, name: str) -> Path:
        return self.bundles / name

    def cohort(self, name: str) -> Path:
        return self.data / DISEASES[name]

    def datalist(self, name: str) -> Path:
        return self.data / f"{DISEASES[name]}.json"

    def options(self, name: str) -> dict[str, Any]:
        """Of any run."""
        data = {"dataset_dir": str(self.cohort(name)), "datalist": str(self.datalist(name))}
        return {**data, "spacing_mm": SPACING_MM}

    def training(self, name: str) -> dict[str, Any]:
        """Of a training: one epoch on two subjects."""
        tiny = {"cases": 2, "epochs": 1, "patch_size": [24, 32, 24], "amp": False}
        return {**self.options(name), **tiny}

    def line(self, options: dict[str, Any]) -> list[str]:
        """The same options as arguments of a command."""
        return [str(text) for key, value in options.items() for text in (f"--{key}", value)]


def copy_bundle(name: str, folder: Path) -> Path:
    """A bundle of the checkout, links kept; its weights are random, trained ones or not."""
    leave = shutil.ignore_patterns("models", "eval", "__pycache__")
    copy = Path(
        shutil.copytree(ROOT / "bundles" / name, folder / name, symlinks=True, ignore=leave)
    )
    (copy / "models").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(len(name))
        torch.save(PathologyUNet(4, CLASSES[name]).state_dict(), copy / "models" / "model.pt")
    return copy


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Simulated once for each worker; tests write nothing into it."""
    folder = tmp_path_factory.mktemp("room")
    for name, disease in DISEASES.items():
        copy_bundle(name, folder / "bundles")
        cohort = folder / "data" / disease
        simulate_cohort(disease, cohort, subjects=SUBJECTS, spacing_mm=SPACING_MM, progress=False)
        described = read_manifest(manifest_path(f"simulated_{disease}"))
        datalist = build_datalist(described, cohort, validation=1, test=1)
        write_datalist(datalist, folder / "data" / f"{disease}.json")
    return Room(folder / "bundles", folder / "data")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in an empty folder, and leaves torch as random as it found it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONAI_TRANSFER_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    set_determinism(None)


@dataclass(frozen=True)
class Finished:
    """A training that ended: its folder, and what it printed."""

    name: str
    folder: Path
    said: str


def run_bundle(*config_files: Path | str, **options: Any) -> str:
    """``python -m monai.bundle run`` without the seconds of a new interpreter; what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "parsing config_file")  # MONAI's notice, at every run
        monai.bundle.run(config_file=[str(file) for file in config_files], **options)
    return said.getvalue()


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    return run_bundle


@pytest.fixture(scope="module", params=CLASSES)
def finished(
    request: pytest.FixtureRequest, room: Room, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A training of each bundle with its own options, tiny, that several tests look at."""
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "out"
    train = room.bundle(name) / "train.json"
    said = run_bundle(train, output_dir=str(folder), **room.training(name))
    return Finished(name, folder, said)
