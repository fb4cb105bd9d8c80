"""Tiny subjects on disk, a network that knows their tumours, and scripted engines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.spatial.transform import Rotation
from torch import nn

LABEL_VALUES = [0, 1, 4]
REGIONS = {"enhancing": [4], "core": [1, 4]}


def balls(*spheres: tuple[int, tuple[int, int, int], float]) -> np.ndarray:
    """A label map (18, 20, 16) of (value, centre, radius)."""
    x, y, z = np.ogrid[:18, :20, :16]
    label = np.zeros((18, 20, 16), np.uint8)
    for value, (i, j, k), radius in spheres:
        label[(x - i) ** 2 + (y - j) ** 2 + (z - k) ** 2 < radius**2] = value
    return label


@dataclass(frozen=True)
class Subject:
    """What is stored of one subject; arrays in RAS order.

    Args:
        name: of the subject.
        truth: its label map.
        shown: what its images show, bright in t1 where it is 1 and in flair where it is 4.
        codes: order in which the voxels are stored.
        affine: of the RAS order.
    """

    name: str
    truth: np.ndarray
    shown: np.ndarray
    codes: str
    affine: np.ndarray

    def store(self, folder: Path, group: str) -> dict[str, Any]:
        """Write it; returns the datalist's entry."""
        rng = np.random.default_rng(len(self.name))
        x, y, z = np.ogrid[:18, :20, :16]
        brain = ((x - 8.5) / 8) ** 2 + ((y - 9) / 9) ** 2 + ((z - 7.5) / 7) ** 2 < 1
        images = [
            (rng.uniform(90, 110, brain.shape) + 900 * (self.shown == v)) * brain for v in (1, 4)
        ]
        paths = {"t1": images[0], "flair": images[1], "label": self.truth}
        return {
            "image": [self._write(folder, name, paths[name]) for name in ("t1", "flair")],
            "label": self._write(folder, "label", self.truth),
            "subject": self.name,
            "group": group,
        }

    def _write(self, folder: Path, name: str, voxels: np.ndarray) -> str:
        path = folder / self.name / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = np.uint8 if name == "label" else np.float32
        image = nib.Nifti1Image(voxels.astype(kind), self.affine)
        order = ornt_transform(io_orientation(self.affine), axcodes2ornt(self.codes))
        nib.save(image.as_reoriented(order), path)
        return str(path)


class Seer(nn.Module):
    """Logits that are highest for class 1 where t1 is bright and for class 2 where flair is."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(image[:, :1], 0.8), image], dim=1)


@pytest.fixture(scope="session")
def subjects() -> list[Subject]:
    """Three: shown as it is; shown in part; without any enhancing tumour, shown as it is."""
    upright, turned = np.eye(4), np.eye(4)
    upright[:3, 3] = -4, 7, 2
    turned[:3, :3] = Rotation.from_euler("zx", [14, 9], degrees=True).as_matrix()
    whole = balls((1, (6, 11, 8), 3.5), (4, (6, 11, 8), 2.2))
    part = balls((1, (11, 9, 7), 3.5), (4, (11, 9, 7), 2.2))
    plain = balls((1, (9, 12, 9), 3.0))
    return [
        Subject("sub-a", whole, whole, "LPS", upright),
        Subject("sub-bb", part, part * (np.arange(18) < 11)[:, None, None], "RAS", upright),
        Subject("sub-ccc", plain, plain, "LIA", turned),
    ]


@pytest.fixture(scope="session")
def entries(subjects, tmp_path_factory) -> list[dict[str, Any]]:
    """Their datalist entries; never written to."""
    folder = tmp_path_factory.mktemp("subjects")
    return [s.store(folder, g) for s, g in zip(subjects, ("HGG", "HGG", "LGG"), strict=True)]


@pytest.fixture(scope="session")
def seer() -> nn.Module:
    return Seer()


class Script:
    """One value after the other."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)

    def next(self) -> float:
        if not self.values:
            raise IndexError("the script is over")
        return self.values.pop(0)


class Scripted(Metric):
    """A metric that says what the script says, one value for each run."""

    def __init__(self, values: Sequence[float]) -> None:
        self.script = Script(values)
        super().__init__()

    def reset(self) -> None: ...

    def update(self, output: Any) -> None: ...

    def compute(self) -> float:
        return self.script.next()


@pytest.fixture
def scripted_validator() -> Callable[..., SupervisedEvaluator]:
    """A validator of one step whose key metric ``score`` follows a script."""

    def build(scores: Sequence[float], *handlers: Any) -> SupervisedEvaluator:
        data = Dataset([{"image": torch.zeros(1, 2), "label": torch.zeros(1, 2)}])
        return SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(data, batch_size=1),
            network=nn.Identity(),
            key_val_metric={"score": Scripted(scores)},
            val_handlers=list(handlers),
        )

    return build


@pytest.fixture
def scripted_trainer() -> Callable[[Sequence[float]], Engine]:
    """An engine whose steps have the losses of a script."""

    def build(losses: Sequence[float]) -> Engine:
        script = Script(losses)
        return Engine(lambda _engine, _batch: {"loss": torch.tensor(script.next())})

    return build
