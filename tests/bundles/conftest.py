"""Copies of the bundles with random weights, and tiny simulated cohorts to run them on."""

import contextlib
import io
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.utils import set_determinism
from torch import nn

from monai_transfer.bundle import open_cohort
from monai_transfer.data import (
    Manifest,
    build_datalist,
    manifest_path,
    read_manifest,
    write_datalist,
)
from monai_transfer.errors import InputError
from monai_transfer.networks import (
    PatchCNN,
    PathologyUNet,
    ResNetClassifier,
    ResNetSegmenter,
    SegAN,
)
from monai_transfer.simulation import simulate_cohort
from monai_transfer.simulation.metaimage import metaimage_bytes
from monai_transfer.transforms import gl20, slices_with_image, z22

ROOT = Path(__file__).resolve().parents[2]
SPACING_MM = 6.0


_SEGMENTED = frozenset({"overlays.png", "overlays", "predictions"})


@dataclass(frozen=True)
class About:
    """What tells a bundle from the others, and what of it is tiny here."""

    network: Callable[[], nn.Module]
    cohort: str  # simulated, by the name that its manifest ends in
    regions: tuple[str, ...]
    score: str  # which column of the history chooses the epoch
    recipe: str
    tensors: int  # of the network's state
    source: str | None = None
    strategy: str = "scratch"
    subjects: int = 5
    split: Mapping[str, int] = field(default_factory=dict)  # unless the manifest tells it
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    left: frozenset[str] = _SEGMENTED  # in a run's folder, by its test
    segments: bool = True  # else it tells what is in each slice, or restores the image
    restores: bool = False
    channels: tuple[str, ...] = ()  # the network's, unless it takes all that its cohort has
    written: tuple[int, ...] = ()  # label values of its segmentations, unless those of the files

    @property
    def disease(self) -> str:
        """What is simulated; what has the same images is in one folder."""
        return "tissue" if self.cohort == "structures" else self.cohort.partition("_")[0]

    @property
    def manifest(self) -> str:
        return f"simulated_{self.cohort}"

    @cached_property
    def described(self) -> Manifest:
        return read_manifest(manifest_path(self.manifest))

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.channels or tuple(self.described.modalities)

    @property
    def of_slices(self) -> bool:
        """Whether whole axial slices are trained on."""
        return self.recipe.startswith(("z22", "gl20"))

    @property
    def grid(self) -> str:
        """What an inference says of it."""
        spacing_mm = self.options.get("spacing_mm", 2.0 if self.of_slices else None)
        return "each image's own grid" if spacing_mm is None else f"{spacing_mm:g} mm"

    @property
    def values(self) -> set[int]:
        """That a segmentation may hold."""
        return set(self.written or self.described.labels)


_K19: dict[str, Any] = {
    "recipe": "k19",
    "tensors": 66,
    "split": {"validation": 1, "test": 1},
    "options": {"spacing_mm": SPACING_MM},
    "training": {"batch_size": 1, "patch_size": [24, 32, 24]},
}
_G17: dict[str, Any] = {
    "network": partial(PatchCNN, 2),
    "regions": ("lesion",),
    "score": "lesion_auc",
    "recipe": "g17",
    "tensors": 86,
    "subjects": 7,  # three of the second session to train on
    "training": {"batch_size": 16},
}
_Z22: dict[str, Any] = {
    "split": {"validation": 1, "test": 1},
    "options": {"spacing_mm": SPACING_MM},
}
_GL20: dict[str, Any] = {
    "network": partial(SegAN, 1, filters=8),
    "cohort": "brats2015",
    "regions": ("whole",),
    "score": "mean_dice",
    "recipe": "gl20",
    "tensors": 54,
    "split": {"validation": 1, "test": 1},
    "options": {"spacing_mm": SPACING_MM},
    "written": (0, 1),
}
_SEGMENTER = partial(ResNetSegmenter, filters=8, latent_channels=16)
_CLASSIFIER = partial(
    ResNetClassifier, image_size=(128, 128), filters=8, latent_channels=16, hidden=256
)
_LESIONS: dict[str, Any] = {
    "network": partial(_SEGMENTER, 1, 2),
    "regions": ("lesion",),
    "score": "mean_dice",
    "source": "tissue_source",
    "strategy": "encoder_latent",
    "tensors": 380,
    "left": _SEGMENTED | {"slice_scores.csv", "detection.csv", "detection.png"},
}
_REGIONS = (
    *("cerebellum", "brain stem", "basal ganglia and thalami", "ventricular csf"),
    *("cortical grey matter", "white matter", "extracerebral csf"),
)
BUNDLES = {
    "anatomy_ft": About(
        cohort="anatomy",
        recipe="z22_anatomy",
        **_Z22,
        **_LESIONS
        | {
            "network": partial(_SEGMENTER, 1, 8),
            "regions": _REGIONS,
            "score": "mean_iou",
            "left": _SEGMENTED | {"slice_scores.csv"},
        },
    ),
    "autoencoder_source": About(
        partial(_SEGMENTER, 1, 1),
        "tissue",
        regions=("brain",),
        score="ssim",
        recipe="z22_bahc",
        tensors=380,
        left=frozenset({"reconstructions.png"}),
        segments=False,
        restores=True,
        **_Z22,
    ),
    "brats_ft": About(
        partial(PathologyUNet, 4, 4),
        "brats",
        regions=("enhancing", "core", "whole"),
        score="mean_dice",
        source="ms_source",
        strategy="all",
        **_K19,
    ),
    "ms_source": About(
        partial(PathologyUNet, 4, 2),
        "ms",
        regions=("lesion",),
        score="lesion_auc",
        **_K19,
    ),
    "ms_ft": About(cohort="ms_t1", recipe="z22_ms", **_Z22, **_LESIONS),
    "segan_ft": About(channels=("t1c",), source="segan_source", strategy="segmentor", **_GL20),
    "segan_source": About(channels=("flair",), **_GL20),
    "stroke_ft": About(cohort="stroke", recipe="z22_stroke", **_Z22, **_LESIONS),
    "structures_source": About(
        partial(_CLASSIFIER, 1, 16),
        "structures",
        regions=tuple(read_manifest(manifest_path("simulated_structures")).labels.values())[1:],
        score="mean_auc",
        recipe="z22_bahc",
        tensors=328,
        split={"validation": 1, "test": 1},
        left=frozenset({"presence.csv", "presence"}),
        segments=False,
    ),
    "tissue_source": About(
        partial(_SEGMENTER, 1, 4),
        "tissue",
        regions=("cerebrospinal fluid", "grey matter", "white matter"),
        score="mean_iou",
        recipe="z22_bahc",
        tensors=380,
        left=_SEGMENTED | {"slice_scores.csv"},
        **_Z22,
    ),
    "wmh_ft": About(cohort="wmh_followup", source="wmh_source", strategy="last:3", **_G17),
    "wmh_source": About(cohort="wmh_baseline", **_G17),
}


@dataclass(frozen=True)
class Room:
    """A folder with all bundles, a cohort for each, and the options that make a run tiny."""

    bundles: Path
    data: Path

    def about(self, name: str) -> About:
        return BUNDLES[name]

    def bundle(self, name: str) -> Path:
        return self.bundles / name

    def cohort(self, name: str) -> Path:
        return self.data / BUNDLES[name].disease

    def datalist(self, name: str) -> Path:
        return self.data / f"{BUNDLES[name].cohort}.json"

    def images(self, name: str, folder: Path | None = None) -> dict[str, Any]:
        """Of an inference, on a folder of subjects or on the cohort."""
        data = {"dataset_dir": str(folder or self.cohort(name)), "manifest": BUNDLES[name].manifest}
        return {**data, **BUNDLES[name].options}

    def options(self, name: str) -> dict[str, Any]:
        """Of any other run."""
        data = {"dataset_dir": str(self.cohort(name)), "datalist": str(self.datalist(name))}
        return {**data, **BUNDLES[name].options}

    def training(self, name: str) -> dict[str, Any]:
        """Of a training: one epoch on two subjects."""
        tiny = {"cases": 2, "epochs": 1, "amp": False}
        return {**self.options(name), **tiny, **BUNDLES[name].training}

    def steps(self, name: str) -> int:
        """Of an epoch of that training: a subject each, 32 slices, or 16 patches."""
        about, tiny = BUNDLES[name], self.training(name)
        if about.recipe == "k19":
            return int(tiny["cases"])
        data = {"dataset_dir": self.cohort(name), "datalist": self.datalist(name)}
        entries = open_cohort(about.cohort, about.modalities, **data).training(tiny["cases"])
        if about.of_slices:
            spacing_mm = about.options.get("spacing_mm", 2.0)
            whole = gl20 if about.recipe == "gl20" else partial(z22, about.recipe[4:])
            chain = whole(spacing_mm=spacing_mm)
            slices = sum(int(slices_with_image(chain(e)["image"]).sum()) for e in entries)
            return slices // 32 + (slices % 32 > 1 or slices < 32)  # one alone joins the others
        lesions = [int((nib.load(entry["label"]).get_fdata() > 0).sum()) for entry in entries]
        # around a quarter of the lesion voxels, and around as many others
        patches = sum(2 * math.ceil(voxels / 4) for voxels in lesions)
        return math.ceil(patches / tiny["batch_size"])

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
        torch.save(BUNDLES[name].network().state_dict(), copy / "models" / "model.pt")
    return copy


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Simulated once for each worker; tests write nothing into it."""
    folder = tmp_path_factory.mktemp("room")
    for name, about in BUNDLES.items():
        copy_bundle(name, folder / "bundles")
        cohort = folder / "data" / about.disease
        if not cohort.exists():
            size = {"subjects": about.subjects, "spacing_mm": SPACING_MM}
            simulate_cohort(about.disease, cohort, progress=False, **size)
        datalist = build_datalist(about.described, cohort, **about.split)
        write_datalist(datalist, folder / "data" / f"{about.cohort}.json")
    return Room(folder / "bundles", folder / "data")


@pytest.fixture(params=BUNDLES)
def name(request: pytest.FixtureRequest) -> str:
    """Of each bundle, in tests that hold for all."""
    return str(request.param)


@pytest.fixture
def about(name: str) -> About:
    """What the test's bundle is."""
    return BUNDLES[name]


@pytest.fixture
def segmenting(about: About) -> None:
    """For tests of what only bundles with a label map do."""
    if not about.segments:
        pytest.skip("tells what is in each slice: there is no label map")


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
    about: About
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


@pytest.fixture(scope="session")
def save() -> Callable[..., None]:
    """Writes (x, y, z) voxels with an affine as the file's name says, whole numbers in .mha."""

    def save(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".mha":
            path.write_bytes(metaimage_bytes(np.rint(voxels).astype(np.int16), affine))
        else:
            nib.save(nib.Nifti1Image(voxels, affine), path)

    return save


@pytest.fixture(scope="session")
def refusal() -> Callable[[BaseException | None], str]:
    """The message of the input error below what MONAI made of it."""

    def refusal(error: BaseException | None) -> str:
        while error is not None and not isinstance(error, InputError):
            error = error.__cause__ or error.__context__
        assert error is not None
        return str(error)

    return refusal


@pytest.fixture(scope="module", params=BUNDLES)
def finished(
    request: pytest.FixtureRequest, room: Room, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """A training of each bundle with its own options, tiny, that several tests look at."""
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "out"
    train = room.bundle(name) / "train.json"
    said = run_bundle(train, output_dir=str(folder), **room.training(name))
    return Finished(name, BUNDLES[name], folder, said)
