"""A small skull-stripped brain with a tumour, and every way of storing it."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.spatial.transform import Rotation

UPRIGHT = np.array([[1.0, 0, 0, -9], [0, 1, 0, -14], [0, 0, 1, 6], [0, 0, 0, 1]])
TURN = np.eye(4)
TURN[:3, :3] = Rotation.from_euler("zx", [14, 9], degrees=True).as_matrix()


def write(path: Path, voxels: np.ndarray, *, codes: str = "RAS", affine=UPRIGHT) -> str:
    """Write RAS-ordered voxels in another storage order, at the same place in the world."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    order = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    nib.save(image.as_reoriented(order), path)
    return str(path)


@dataclass(frozen=True)
class Phantom:
    """Arrays in RAS order on a 1 mm grid: images (4, 22, 26, 20), label (22, 26, 20)."""

    images: np.ndarray
    label: np.ndarray

    affines: ClassVar = MappingProxyType({"upright": UPRIGHT, "oblique": TURN @ UPRIGHT})
    write: ClassVar = staticmethod(write)

    @property
    def brain(self) -> np.ndarray:
        return self.images[0] != 0

    def store(
        self, folder: Path, *, codes: str = "RAS", affine=UPRIGHT, stacked: bool = False, **changed
    ) -> dict[str, Any]:
        """Write it; returns the datalist's entry.

        ``changed`` replaces arrays: image0 … image3, label.
        """
        grid = {"codes": codes, "affine": affine}
        images = [changed.get(f"image{i}", image) for i, image in enumerate(self.images)]
        label = write(folder / "label.nii.gz", changed.get("label", self.label), **grid)
        if stacked:
            return {"image": write(folder / "4d.nii.gz", np.stack(images, -1), **grid)} | {
                "label": label
            }
        files = [write(folder / f"{i}.nii.gz", image, **grid) for i, image in enumerate(images)]
        return {"image": files, "label": label}


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    rng = np.random.default_rng(7)
    x, y, z = np.ogrid[:22, :26, :20]
    brain = ((x - 10) / 8.5) ** 2 + ((y - 13) / 10.5) ** 2 + ((z - 9) / 7.5) ** 2 < 1
    label = np.zeros(brain.shape, np.uint8)
    for value, radius in ((2, 4.2), (4, 3.2), (1, 2.2)):  # off every axis of symmetry
        label[(x - 7) ** 2 + (y - 16) ** 2 + (z - 11) ** 2 < radius**2] = value
    scales = np.array([1000.0, 0.02, 40.0, 7.0])[:, None, None, None]
    images = scales * (rng.uniform(0.5, 1.5, (4, *brain.shape)) + 0.6 * (label > 0))
    return Phantom((images * brain).astype(np.float32), label * brain)
