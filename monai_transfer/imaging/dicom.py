"""DICOM series, as they come from a scanner."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.image import Image

_FRAMES, _SERIES_NUMBER = "0028|0008", "0020|0011"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNEVEN_FRACTION = 0.02  # of the distance of two slices; positions are rounded decimal texts


@dataclass(frozen=True, eq=False)
class _Slice:
    """One file; lengths in mm, LPS."""

    file: str
    size: tuple[int, int]
    frames: int
    components: int
    origin: NDArray[np.float64]
    in_plane: NDArray[np.float64]
    """3×2: steps along a row and along a column."""


def read_dicom(folder: str | os.PathLike[str], *, series: str | None = None) -> Image:
    """Read the slices of one series, in the order in which they lie in the patient.

    Of the headers only the geometry and the rescaling are used; none of their texts is kept, nor
    shown in a message.

    Args:
        folder: holds the files, of any name, beside anything else; folders in it are not read.
        series: its number in the scanner's list, as a message shows it (``301``; several
            that share a number are ``301.1``, ``301.2``); ``None``: the only one.

    Returns:
        float32, rescaled as the headers say.

    Raises:
        InputError: no DICOM file, several series (they are listed), no such series; multi-frame or
            colour files; slices of which one is missing or that a gantry tilt shears.

    Source:
        DICOM PS3.3 C.7.6.2 (image plane); read by GDCM, as ITK brings it.
    """
    name = Path(folder).name
    found = _series(Path(folder))
    if not found:
        raise InputError(name, "folder", "hold a DICOM series", got="no DICOM image in it")
    if series is None and len(found) > 1:
        listed = ", ".join(f"{key} ({len(files)} files)" for key, files in found.items())
        todo = "Leave one in the folder, or read one with read_dicom(folder, series=…)."
        raise InputError(name, "folder", "hold one series", got=listed, todo=todo)
    key = next(iter(found)) if series is None else series
    if key not in found:
        raise choice(name, "series", key, found)
    slices = [_slice(file) for file in found[key]]
    step = _checked_step(name, slices)
    voxels = np.stack([_pixels(one.file) for one in slices], axis=-1)
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = slices[0].in_plane, step, slices[0].origin
    return Image(voxels, _LPS_TO_RAS @ affine)


def _series(folder: Path) -> Mapping[str, Sequence[str]]:
    """Series number → files, ordered by position."""
    import itk  # half a second

    names = itk.GDCMSeriesFileNames.New()
    names.SetUseSeriesDetails(True)  # else orientations and echoes of one series are mixed
    names.SetDirectory(os.fspath(folder))
    numbered: dict[int, list[Sequence[str]]] = {}
    for uid in names.GetSeriesUIDs():
        files = names.GetFileNames(uid)
        numbered.setdefault(_number(_header(files[0]), _SERIES_NUMBER), []).append(files)
    return {
        f"{number}" if len(twins) == 1 else f"{number}.{i}": files
        for number, twins in sorted(numbered.items())
        for i, files in enumerate(twins, start=1)
    }


def _header(file: str) -> Any:
    import itk

    io = itk.GDCMImageIO.New()
    io.SetFileName(file)
    io.ReadImageInformation()
    return io


def _number(header: Any, tag: str) -> int:
    """A whole number in a header; 0 where there is none."""
    tags = header.GetMetaDataDictionary()
    text = str(tags[tag]).strip() if tags.HasKey(tag) else ""
    return int(text) if text.lstrip("-").isdecimal() else 0


def _slice(file: str) -> _Slice:
    header = _header(file)
    directions = np.array([header.GetDirection(axis) for axis in (0, 1)])
    spacing_mm = np.array([header.GetSpacing(axis) for axis in (0, 1)])
    return _Slice(
        file=file,
        size=(header.GetDimensions(0), header.GetDimensions(1)),
        frames=_number(header, _FRAMES) or 1,
        components=header.GetNumberOfComponents(),
        origin=np.array([header.GetOrigin(axis) for axis in range(3)]),
        in_plane=(directions * spacing_mm[:, None]).T,
    )


def _pixels(file: str) -> NDArray[np.float32]:
    """(x, y), rescaled."""
    import itk

    image = itk.imread(file, itk.F, imageio=itk.GDCMImageIO.New())
    pixels: NDArray[np.float32] = itk.array_from_image(image)[0].T
    return pixels


def _checked_step(name: str, slices: Sequence[_Slice]) -> NDArray[np.float64]:
    """From one slice to the next, mm; the same everywhere, and at a right angle to them."""
    for one in slices:
        if one.frames > 1:
            todo = "Convert it to NIfTI first, with dcm2niix for example."
            rule = "hold one slice each (no multi-frame)"
            raise InputError(name, "files", rule, got=f"{one.frames} frames", todo=todo)
        if one.components != 1:
            raise InputError(name, "files", "be grey", got=f"{one.components} colours")
        same = one.size == slices[0].size and np.allclose(
            one.in_plane, slices[0].in_plane, atol=1e-3
        )
        if not same:
            rule = "share their size, spacing and orientation"
            raise InputError(name, "slices", rule, got=f"{one.size} beside {slices[0].size}")
    if len(slices) < 2:
        raise InputError(name, "series", "have two slices or more", got=len(slices))
    steps = np.diff([one.origin for one in slices], axis=0)
    usual = np.median(steps, axis=0)
    length_mm = float(np.linalg.norm(usual))
    away_mm = np.linalg.norm(steps - usual, axis=1)
    if length_mm == 0 or away_mm.max() > _UNEVEN_FRACTION * length_mm:
        worst = int(away_mm.argmax())
        apart_mm = float(np.linalg.norm(steps[worst]))
        got = f"{apart_mm:.2f} mm from slice {worst + 1} to {worst + 2}, elsewhere {length_mm:.2f}"
        todo = "Look for a slice that is missing or there twice."
        raise InputError(name, "slices", "be equally far apart", got=got, todo=todo)
    mean_step: NDArray[np.float64] = steps.mean(axis=0)
    normal = np.cross(*slices[0].in_plane.T)
    cosine = abs(mean_step @ normal) / (np.linalg.norm(mean_step) * np.linalg.norm(normal))
    sheared_mm = length_mm * np.sqrt(max(0.0, 1 - cosine**2))
    if sheared_mm > _UNEVEN_FRACTION * length_mm:
        got = f"{sheared_mm:.2f} mm sideways for each slice (gantry tilt)"
        todo = "Correct it first: dcm2niix does."
        raise InputError(name, "slices", "lie straight above each other", got=got, todo=todo)
    return mean_step
