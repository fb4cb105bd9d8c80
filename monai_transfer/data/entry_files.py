"""The rules on the files of one subject: readable, one grid, finite, declared labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monai_transfer.data.entries import Entry
from monai_transfer.data.faults import Fault, fault
from monai_transfer.data.images import read_scan
from monai_transfer.data.nifti import Scan, ScanError

GRID_TOLERANCE_MM = 1e-3
_LISTED = 4


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a file lie: its path, shape in x y z and affine."""

    file: str
    shape: tuple[int, ...]
    affine: NDArray[np.float64]


def file_faults(
    entry: Entry, *, root: Path, channels: int | None, labels: frozenset[int] | None
) -> list[Fault]:
    """Read the files of one entry, one after the other, and keep only what the rules need.

    Args:
        entry: the subject.
        root: folder of its paths.
        channels: modalities that a file holding all of them must have; ``None``: not known.
        labels: declared label values; ``None``: not known.

    Returns:
        Faults G2xx to G5xx, in file order, then those of the grid.
    """
    faults: list[Fault] = []
    grids: list[Grid] = []
    files = [(file, False) for file in entry.images]
    if entry.label is not None:
        files.append((entry.label, True))
    for file, is_label in files:
        try:
            scan = read_scan(root / file)
        except ScanError as damage:
            faults.append(fault(damage.code, subject=entry.subject, file=file, value=damage.value))
            continue
        stacked = entry.stacked and not is_label
        found = [*_scan_faults(scan)]
        if not _dims_fit(scan.shape, channels if stacked else 0):
            found.append(("G301", _shape(scan.shape)))
        if is_label and not any(code == "G401" for code, _ in found):
            found += _label_faults(scan, labels)
        faults += [fault(code, subject=entry.subject, file=file, value=got) for code, got in found]
        if not {"G301", "G302"} & {code for code, _ in found}:
            grids.append(Grid(file, scan.shape[:3], scan.affine))
    return [*faults, *_grid_faults(entry.subject, grids)]


def _dims_fit(shape: tuple[int, ...], channels: int | None) -> bool:
    """Whether a file is 3D, or 4D with `channels` (`None`: any; 0: it must not have that axis)."""
    if len(shape) == 4:
        return channels in (shape[3], None)
    return len(shape) == 3 and channels in (0, 1, None)


def _scan_faults(scan: Scan) -> Iterator[tuple[str, str]]:
    """(code, value) of a file's affine and voxels."""
    if not np.isfinite(scan.affine).all():
        yield "G302", "NaN or infinity in it"
    if not _finite(scan):
        bad = ~np.isfinite(scan.values(scan.voxels))
        first = np.unravel_index(int(bad.argmax()), scan.shape, order="F")
        place = ", ".join(str(int(index)) for index in first)
        yield "G401", f"NaN or infinity in {int(bad.sum())} voxels, first at ({place})"


def _finite(scan: Scan) -> bool:
    """Whether all values are finite as float32; whole-number types need no look at the voxels."""
    if scan.voxels.dtype.kind in "iu":
        limits = np.iinfo(scan.voxels.dtype.str)
        if np.isfinite(scan.values(np.array([limits.min, limits.max]))).all():
            return True
    ends = np.array([scan.voxels.min(), scan.voxels.max()])  # both are NaN if any voxel is
    return bool(np.isfinite(scan.values(ends)).all())


def _label_faults(scan: Scan, labels: frozenset[int] | None) -> Iterator[tuple[str, str]]:
    voxels = scan.voxels
    nonzero = voxels[voxels != 0]
    stored, counts = np.unique(nonzero, return_counts=True)
    if nonzero.size < voxels.size:
        stored = np.append(stored, stored.dtype.type(0))
        counts = np.append(counts, voxels.size - nonzero.size)
    values = scan.values(stored)
    whole = values == np.round(values)
    if not whole.all():
        yield "G501", _listing(values[~whole], counts[~whole])
    if labels is not None:
        foreign = whole & ~np.isin(values, sorted(labels))
        if foreign.any():
            declared = ", ".join(map(str, sorted(labels)))
            yield "G502", f"{_listing(values[foreign], counts[foreign])} (declared: {declared})"


def _grid_faults(subject: str, grids: Sequence[Grid]) -> Iterator[Fault]:
    """Compare every file with the first; a second shape says enough, its affine is not compared."""
    for grid in grids[1:]:
        first = grids[0]
        if grid.shape != first.shape:
            got = f"{_shape(grid.shape)} where {first.file} has {_shape(first.shape)}"
            yield fault("G303", subject=subject, file=grid.file, value=got)
        elif (shift := np.abs(grid.affine - first.affine).max()) > GRID_TOLERANCE_MM:
            got = f"{shift:.4g} mm away from {first.file}"
            yield fault("G304", subject=subject, file=grid.file, value=got)


def _listing(values: NDArray[np.float32], counts: NDArray[np.int64]) -> str:
    order = np.argsort(values)
    shown = [f"{values[i]:.7g} in {counts[i]} voxels" for i in order[:_LISTED]]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} more values" if more else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
