"""Where a raw subject's files go: scans as BIDS names them, the truth beside them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_transfer.errors import InputError
from monai_transfer.imaging.registration.files import from_ras, read_transform
from monai_transfer.simulation.nifti import is_whole, nifti_bytes
from monai_transfer.simulation.series import RawSeries
from monai_transfer.simulation.subject import grade_of

LABELLED = "flair"
"""The modality on whose grid the label lies."""

_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {"t1": "T1w", "t1c": "ce-gadolinium_T1w", "t2": "T2w", "flair": "FLAIR"}
)
_SPACES: Mapping[str, str] = MappingProxyType({**_SUFFIXES, "t1c": "T1wGd"})
_SCANNER = 1  # NIfTI's code of the scanner's world


def raw_folder(disease: str, index: int) -> Path:
    """Folder of a raw subject, relative to the cohort.

    Example:
        >>> raw_folder("brats", 1).as_posix(), raw_folder("ms", 0).as_posix()
        ('LGG/sub-brats0002', 'sub-ms0001')
    """
    group = Path(grade_of(index)) if disease == "brats" else Path()
    return group / f"sub-{disease}{index + 1:04d}"


def scan_files(disease: str, index: int) -> dict[str, Path]:
    """The four series and ``label``, relative to the subject's folder.

    Example:
        >>> scan_files("ms", 0)["label"].as_posix()
        'anat/sub-ms0001_space-FLAIR_dseg.nii.gz'
    """
    stem = f"anat/{raw_folder(disease, index).name}"
    files = {name: Path(f"{stem}_{suffix}.nii.gz") for name, suffix in _SUFFIXES.items()}
    return {**files, "label": Path(f"{stem}_space-{_SPACES[LABELLED]}_dseg.nii.gz")}


def brain_files(disease: str, index: int) -> dict[str, Path]:
    """The true brain mask on each series' grid."""
    stem = f"truth/{raw_folder(disease, index).name}"
    return {n: Path(f"{stem}_space-{space}_desc-brain_mask.nii.gz") for n, space in _SPACES.items()}


def pose_files(disease: str, index: int) -> dict[str, Path]:
    """The true transforms: each series to the labelled one, and that one to the body.

    They are ITK's, named like those of registrations: ``from-T1w_to-FLAIR`` takes a point of FLAIR
    to T1. The body lies as in the prepared subject of the same seed and index.
    """
    stem = f"truth/{raw_folder(disease, index).name}"
    return {
        name: Path(
            f"{stem}_from-{space}_to-{'body' if name == LABELLED else _SPACES[LABELLED]}"
            "_mode-image_xfm.txt"
        )
        for name, space in _SPACES.items()
    }


def is_complete_raw(folder: Path, disease: str, index: int) -> bool:
    """Whether a subject's folder holds all its files, each whole."""
    images = [*scan_files(disease, index).values(), *brain_files(disease, index).values()]
    poses = pose_files(disease, index).values()
    return all(is_whole(folder / f) for f in images) and all(_is_pose(folder / f) for f in poses)


def write_raw(series: Mapping[str, RawSeries], folder: Path, *, disease: str, index: int) -> None:
    """Write a subject's series, label and truth.

    Args:
        series: modality → series, all four.
        folder: there, and empty.
        disease: ``ms`` or ``brats``.
        index: position in the cohort.
    """
    fixed = series[LABELLED]
    scans, brains = scan_files(disease, index), brain_files(disease, index)
    volumes: dict[Path, tuple[npt.NDArray[Any], RawSeries]] = {
        scans["label"]: (fixed.lesion, fixed)
    }
    for name, one in series.items():
        volumes[scans[name]] = one.voxels, one
        volumes[brains[name]] = one.brain.astype(np.uint8), one
    for path, (voxels, one) in volumes.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(nifti_bytes(voxels, one.affine, form_code=_SCANNER))
    for name, path in pose_files(disease, index).items():
        to_body = np.eye(4) if name == LABELLED else fixed.to_body
        from_ras(np.linalg.inv(series[name].to_body) @ to_body).save(folder / path)


def _is_pose(path: Path) -> bool:
    try:
        read_transform(path)
    except InputError:
        return False
    return True
