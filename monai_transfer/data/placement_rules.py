"""The rules on where a file's voxels lie: by itself, and beside the subject's other files."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_transfer._grids import apart_mm, is_one_grid
from monai_transfer.data.faults import Fault, fault
from monai_transfer.data.header import Matrix, Placement

_FORMS_TOLERANCE_MM = 0.1
_SIZE_TOLERANCE = 0.01
_SPACING_MM = (0.01, 100.0)
_ORIGIN_MM = 1e4
_SAME_WAY = 0.7  # cosine of 45°
_INDEPENDENT = 0.05  # volume that three unit vectors span
_UNITS = {1: "metres", 3: "micrometres"}


class Grid(NamedTuple):
    """Where the voxels of a file lie: its path, shape in x y z and affine."""

    file: str
    shape: tuple[int, ...]
    affine: Matrix


@lru_cache(maxsize=256)  # the files of a cohort often share one
def placement_faults(place: Placement, shape: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """(code, value) of the rules on one file's header; of a broken affine only the first."""
    return tuple(_placement_faults(place, shape))


def _placement_faults(place: Placement, shape: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    affine = np.array(place.affine)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all():
        yield "G302", "NaN or infinity in it"
    elif not spacing.all() or abs(np.linalg.det(affine[:3, :3] / spacing)) < _INDEPENDENT:
        yield "G308", f"axes of {_sizes(spacing)} mm in one plane"
    elif spacing.min() < _SPACING_MM[0] or spacing.max() > _SPACING_MM[1]:
        unit = f", in a header that says {_UNITS[place.unit]}" if place.unit in _UNITS else ""
        yield "G309", f"{_sizes(spacing)}{unit}"
    elif (away := float(np.abs(affine[:3, 3]).max())) > _ORIGIN_MM:
        yield "G312", f"{away:.4g} mm"
    else:
        yield from _contradictions(place, shape, affine)
    if len(shape) >= 3 and min(shape[:3]) == 1:
        yield "G311", "x".join(map(str, shape))


def grid_faults(subject: str, grids: Sequence[Grid]) -> Iterator[Fault]:
    """Compare every file with the first; a second shape says enough, its affine is not compared."""
    for grid in grids[1:]:
        first = grids[0]
        if grid.shape != first.shape:
            shapes = ("x".join(map(str, each.shape)) for each in (grid, first))
            got = f" where {first.file} has ".join(shapes)
            yield fault("G303", subject=subject, file=grid.file, value=got)
        elif grid.affine != first.affine:
            away = apart_mm(np.array(grid.affine), np.array(first.affine), grid.shape)
            if not is_one_grid(away, grid.shape):
                got = f"{away:.4g} mm away from {first.file}"
                yield fault("G304", subject=subject, file=grid.file, value=got)


def _contradictions(
    place: Placement, shape: tuple[int, ...], affine: NDArray[np.float64]
) -> Iterator[tuple[str, str]]:
    """What a header says in two ways that are not the same; `affine` is what is taken."""
    if place.qform is None and not place.has_sform:
        yield "G307", "neither"
    if place.unit in _UNITS:
        yield "G310", _UNITS[place.unit]
    if not place.has_sform:
        return
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    cosines, away = np.ones(3), 0.0
    if place.qform is not None:
        qform = np.array(place.qform)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            other = qform[:3, :3] / np.linalg.norm(qform[:3, :3], axis=0)
            cosines = (other * affine[:3, :3] / spacing).sum(axis=0)
            away = apart_mm(qform, affine, shape[:3])
    if not cosines.min() > _SAME_WAY:
        turned = ", ".join("xyz"[axis] for axis in range(3) if not cosines[axis] > _SAME_WAY)
        yield "G305", f"another direction of {turned}"
    elif not np.abs(np.array(place.pixdim) / spacing - 1).max() <= _SIZE_TOLERANCE:
        yield "G306", f"a pixdim of {_sizes(place.pixdim)} and an sform of {_sizes(spacing)} mm"
    elif not away <= _FORMS_TOLERANCE_MM:
        yield "G306", f"corners up to {away:.4g} mm apart by qform and sform"


def _sizes(numbers: Sequence[float] | NDArray[np.float64]) -> str:
    return "x".join(f"{number:.4g}" for number in numbers)
