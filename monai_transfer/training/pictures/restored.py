"""An image, what an auto-encoder makes of it, and the difference."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray
from torch import Tensor

from monai_transfer._palette import ORANGE, SKY
from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import save
from monai_transfer.training.pictures.sheet import new_sheet

SHOWN: Final = 0.3
"""Difference of intensities in [0, 1] that has the full colour."""

_DIFFERENCE: Final = LinearSegmentedColormap.from_list("difference", [SKY, "black", ORANGE])
_MARGIN: Final = 4


@dataclass(frozen=True)
class RestoredSubject:
    """One axial slice of a subject, cut to the brain.

    Args:
        caption: the name, and what else is to be said.
        original: intensities in [0, 1], (x, y).
        restored: likewise.
    """

    caption: str
    original: NDArray[np.float32]
    restored: NDArray[np.float32]

    @classmethod
    def of(cls, caption: str, image: Tensor, restored: Tensor) -> "RestoredSubject":
        """The axial slice with the largest brain, of the first channel.

        Args:
            caption: see the class.
            image: (channels, x, y, z), 0 outside the brain.
            restored: likewise.
        """
        brain = torch.as_tensor(image[0] != 0).cpu().numpy()
        z = int(brain.sum(axis=(0, 1)).argmax())
        box = _box(brain[..., z])
        original, other = (
            np.array(torch.as_tensor(volume)[0, ..., z].float().cpu().numpy()[box])
            for volume in (image, restored)
        )
        return cls(caption, original, other)


def restored_strip(subjects: Mapping[str, RestoredSubject], path: str | os.PathLike[str]) -> Path:
    """Draw a few subjects, one row each: original, reconstruction and difference.

    Original and reconstruction are shown from 0, black, to 1, white. In the difference, what the
    reconstruction has too bright is orange, what it has too dark is blue, black is equal.

    Args:
        subjects: heading of the row (best, median, worst) → subject.
        path: the picture.

    Returns:
        The path.

    Raises:
        InputError: there is no subject.
    """
    if not subjects:
        raise InputError("restored_strip", "subjects", "hold at least one subject")
    shapes = [subject.original.shape for subject in subjects.values()]
    columns = ("original", "reconstruction", f"difference, ±{SHOWN:g}")
    sheet = new_sheet(
        dict.fromkeys(columns, float(max(x for x, _ in shapes))),
        [f"{heading}: {subject.caption}" for heading, subject in subjects.items()],
        height_mm=float(max(y for _, y in shapes)),
        labels={},
        headings_above=True,
    )
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
    signed: dict[str, Any] = {"cmap": _DIFFERENCE, "vmin": -SHOWN, "vmax": SHOWN}
    for axes, subject in zip(sheet.axes, subjects.values(), strict=True):
        x, y = (side / 2 for side in subject.original.shape)
        shown = (
            (subject.original, grey),
            (subject.restored, grey),
            (subject.restored - subject.original, signed),
        )
        for axis, (pixels, style) in zip(axes, shown, strict=True):
            axis.imshow(pixels.T, origin="lower", extent=(-x, x, -y, y), aspect="auto", **style)
    return save(sheet.figure, path)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Bounding box with a margin; the whole slice where the mask is empty."""
    if not mask.any():
        return slice(None), slice(None)
    ends = []
    for axis in (1, 0):
        hits = np.flatnonzero(mask.any(axis=axis))
        ends.append(slice(max(int(hits[0]) - _MARGIN, 0), int(hits[-1]) + 1 + _MARGIN))
    return ends[0], ends[1]
