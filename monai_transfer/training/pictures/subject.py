"""A subject as a picture sees it, and slices through it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monai_transfer.errors import InputError, choice

AXIS_OF: Final = {"sagittal": 0, "coronal": 1, "axial": 2}
EDGES_OF: Final = {"axial": "LR", "coronal": "LR", "sagittal": "PA"}
"""What lies on the left and on the right edge of a slice: the patient's left is on the left."""


@dataclass(frozen=True)
class PicturedSubject:
    """What is to be drawn of one subject; all volumes on one grid, axes x y z in RAS+.

    Args:
        name: shown as it is.
        images: modality → intensities, shape (x, y, z); the first is the one overlays show.
        truth: label map; ``None`` when nobody has labelled it.
        prediction: label map; ``None`` when there is none.
        dice: region → Dice, shown beside the name; NaN is shown as n/a.
        spacing_mm: voxel size along x, y and z.

    Raises:
        InputError: there is no image, or the volumes are not 3D and of one shape.
    """

    name: str
    images: Mapping[str, NDArray[Any]]
    truth: NDArray[Any] | None = None
    prediction: NDArray[Any] | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        volumes = [*self.images.values(), self.truth, self.prediction]
        shapes = {np.shape(volume) for volume in volumes if volume is not None}
        if not self.images or len(shapes) != 1 or len(next(iter(shapes))) != 3:
            raise InputError(self.name, "volumes", "share one shape (x, y, z)", got=sorted(shapes))

    @property
    def caption(self) -> str:
        """The name, and Dice by region."""
        scores = (
            f"{region} {'n/a' if math.isnan(dice) else f'{dice:.2f}'}"
            for region, dice in self.dice.items()
        )
        return f"{self.name}   Dice: {', '.join(scores)}" if self.dice else self.name

    def image(self, modality: str | None = None) -> NDArray[Any]:
        """Intensities of a modality; ``None`` is the first."""
        if modality is None:
            return next(iter(self.images.values()))
        if modality not in self.images:
            raise choice(self.name, "modality", modality, self.images)
        return self.images[modality]


@dataclass(frozen=True)
class View:
    """The part of a grid that a slice shows.

    Args:
        plane: axial, coronal or sagittal.
        index: voxel along the axis across the plane.
        box: the voxels shown, along x, y and z.
        spacing_mm: voxel size along x, y and z.
    """

    plane: str
    index: int
    box: tuple[slice, slice, slice]
    spacing_mm: tuple[float, float, float]

    def cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        """The slice, rows from bottom to top and columns from left to right.

        Example:
            >>> volume = np.arange(8).reshape(2, 2, 2)  # 4x + 2y + z
            >>> View("axial", 1, (slice(None),) * 3, (1.0, 1.0, 1.0)).cut(volume)
            array([[1, 5],
                   [3, 7]])
        """
        axis = AXIS_OF[self.plane]
        across = np.take(volume, self.index, axis)
        box = tuple(part for i, part in enumerate(self.box) if i != axis)
        return np.asarray(across[box]).T

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the slice."""
        width, height = (
            (part.stop - part.start) * mm
            for i, (part, mm) in enumerate(zip(self.box, self.spacing_mm, strict=True))
            if i != AXIS_OF[self.plane]
        )
        return width, height


def best_views(subject: PicturedSubject) -> dict[str, View]:
    """The axial, coronal and sagittal slices with the largest labelled area.

    The labels are the truth's; where it is empty or absent the prediction's, then the head itself.
    Of slices with the same area it is the middle one.
    """
    image = subject.image()
    head = image != background_of(image)
    labels = (subject.truth, subject.prediction, head)
    shown = next(part for part in labels if part is not None and (part.any() or part is head))
    occupied = shown > 0
    box = _box(head)
    views = {}
    for plane in ("axial", "coronal", "sagittal"):
        axis = AXIS_OF[plane]
        area = occupied.sum(axis=tuple(i for i in range(3) if i != axis))
        largest = np.flatnonzero(area == area.max())
        views[plane] = View(plane, int(largest[largest.size // 2]), box, subject.spacing_mm)
    return views


def background_of(image: NDArray[Any]) -> float:
    """The intensity outside the head: that of the corner voxel.

    The smallest intensity would not do: interpolation leaves brain voxels below a background of 0.
    """
    return float(image[0, 0, 0])


def _box(mask: NDArray[np.bool_], margin: int = 4) -> tuple[slice, slice, slice]:
    """Bounding box with a margin; the whole grid where the mask is empty."""

    def span(axis: int) -> slice:
        line = mask.any(axis=tuple(i for i in range(3) if i != axis))
        hits = np.flatnonzero(line)
        first, last = (hits[0], hits[-1]) if hits.size else (0, line.size - 1)
        return slice(max(int(first) - margin, 0), min(int(last) + 1 + margin, line.size))

    return span(0), span(1), span(2)
