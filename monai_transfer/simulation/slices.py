"""Prepared images on the slices of one series: it as it was taken, the others brought to it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.appearance import Appearance, ideal_volume
from monai_transfer.simulation.bias import draw_bias
from monai_transfer.simulation.fields import Array, apply_separable, linear_weights
from monai_transfer.simulation.grid import Grid, SliceGrid
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.pathology import Labels, Pathology
from monai_transfer.simulation.scanner import (
    Scanner,
    acquire,
    form_image,
    slice_centres_mm,
    slice_profile,
)

SLICED = "flair"
"""The series on whose slices everything lies."""


@dataclass(frozen=True, eq=False)
class _Slices:
    """Slices through a part of a grid.

    Args:
        grid: of the slices, over the whole field of view.
        acquire: along each axis, what they see of the part.
        nearest: along each axis, linear interpolation of the part at their centres.
    """

    grid: SliceGrid
    acquire: tuple[Array, Array, Array]
    nearest: tuple[Array, Array, Array]


def scan_on_slices(
    rng: np.random.Generator,
    seen: tuple[Mixture, Pathology],
    appearance: Appearance,
    *,
    scanner: Scanner,
    grid: Grid,
) -> tuple[npt.NDArray[np.int16], Labels, SliceGrid]:
    """Scan a brain and prepare it as Ghafoorian 2017 did.

    Args:
        rng: source of randomness.
        seen: brain and pathology.
        appearance: of the patient's tissues.
        scanner: protocol; its FLAIR has the slices.
        grid: field of view and spacing of the body.

    Returns:
        (modalities, x, y, z) images, 0 outside the brain and at least 1 inside; the label, 1 where
        lesion fills more than half of what the FLAIR's voxel sees; and their grid.

    Source: Ghafoorian 2017, section 2.1: T1 brought linearly to the FLAIR, the brain alone. Ours:
        it is interpolated linearly at the centres of the slices, and as in the other prepared
        cohorts some bias field is left.
    """
    mixture, pathology = seen
    anatomy = mixture.anatomy
    slices = _draw_slices(rng, scanner, grid=grid, part=anatomy.grid)
    brain = apply_separable(anatomy.brain.astype(np.float32), slices.acquire) > 0.5
    images = []
    for modality, sequence in scanner.sequences.items():
        see = scanner.seeing(modality)
        ideal = ideal_volume(mixture, appearance, see=see)
        bias = draw_bias(rng, anatomy, cv=scanner.bias_cv)
        white = see(appearance.tissues["wm"])
        if modality == SLICED:
            image = acquire(
                rng,
                ideal * bias,
                slices.acquire,
                sequence=sequence,
                scanner=scanner,
                reference=white,
            )
        else:
            taken = form_image(
                rng,
                ideal,
                sequence=sequence,
                scanner=scanner,
                bias=bias,
                spacing_mm=grid.spacing_mm,
                reference=white,
            )
            image = apply_separable(taken, slices.nearest)
        image *= np.float32(scanner.gain / white)
        stored = np.clip(np.rint(image), 1, np.iinfo(np.int16).max).astype(np.int16)
        images.append(np.where(brain, stored, np.int16(0)))
    inside: Array = np.sum(list(pathology.fractions.values()), axis=0, dtype=np.float32)
    label = (apply_separable(inside, slices.acquire) > 0.5) & brain
    return np.stack(images), label.astype(np.uint8), slices.grid


def _draw_slices(rng: np.random.Generator, scanner: Scanner, *, grid: Grid, part: Grid) -> _Slices:
    """Where the slices of a session fall."""
    acquire, nearest, first_mm, steps_mm = [], [], [], []
    for axis, (count, held) in enumerate(zip(grid.shape, part.shape, strict=True)):
        thickness_mm, pitch_mm = scanner.sequences[SLICED].profile_mm(axis)
        phase = float(rng.uniform())
        start = round((part.origin_mm[axis] - grid.origin_mm[axis]) / grid.spacing_mm)
        across, _ = slice_profile(
            count, grid.spacing_mm, thickness_mm=thickness_mm, pitch_mm=pitch_mm, phase=phase
        )
        centres_mm = slice_centres_mm(count, grid.spacing_mm, pitch_mm=pitch_mm, phase=phase)
        acquire.append(np.ascontiguousarray(across[:, start : start + held]))
        nearest.append(linear_weights(centres_mm / grid.spacing_mm - 0.5 - start, held))
        first_mm.append(grid.origin_mm[axis] - grid.spacing_mm / 2.0 + float(centres_mm[0]))
        steps_mm.append(max(pitch_mm, grid.spacing_mm))
    a, b, c = acquire
    d, e, f = nearest
    x, y, z = first_mm
    i, j, k = steps_mm
    shape = (len(a), len(b), len(c))
    return _Slices(SliceGrid(shape, (i, j, k), (x, y, z)), (a, b, c), (d, e, f))
