"""Where a raw subject's files go: scans as BIDS names them, the truth beside them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_transfer.errors import InputError
from monai_transfer.imaging.registration.files import from_ras, read_transform
from monai_transfer.simulation.body import SERIES, grade_of
from monai_transfer.simulation.layout import anat_stem
from monai_transfer.simulation.nifti import is_whole, nifti_bytes
from monai_transfer.simulation.series import RawSeries
from monai_transfer.simulation.visits import sessions_of

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
    return Path(grade_of(disease, index) or "") / f"sub-{disease}{index + 1:04d}"


def scan_files(disease: str, index: int, session: str | None = None) -> dict[str, Path]:
    """The series of a session and ``label``, relative to the subject's folder.

    Example:
        >>> scan_files("ms", 0)["label"].as_posix()
        'anat/sub-ms0001_space-FLAIR_dseg.nii.gz'
    """
    stem = anat_stem(raw_folder(disease, index).name, session)
    files = {name: Path(f"{stem}_{_SUFFIXES[name]}.nii.gz") for name in SERIES[disease]}
    return {**files, "label": Path(f"{stem}_space-{_SPACES[LABELLED]}_dseg.nii.gz")}


def brain_files(disease: str, index: int, session: str | None = None) -> dict[str, Path]:
    """The true brain mask on each series' grid."""
    stem = anat_stem(raw_folder(disease, index).name, session, folder="truth")
    return {
        name: Path(f"{stem}_space-{_SPACES[name]}_desc-brain_mask.nii.gz")
        for name in SERIES[disease]
    }


def pose_files(disease: str, index: int, session: str | None = None) -> dict[str, Path]:
    """The true transforms: each series to the labelled one, and that one to the body.

    They are ITK's, named like those of registrations: ``from-T1w_to-FLAIR`` takes a point of FLAIR
    to T1. The body lies as in the prepared subject of the same seed and index.
    """
    stem = anat_stem(raw_folder(disease, index).name, session, folder="truth")
    return {
        name: Path(
            f"{stem}_from-{_SPACES[name]}_to-{'body' if name == LABELLED else _SPACES[LABELLED]}"
            "_mode-image_xfm.txt"
        )
        for name in SERIES[disease]
    }


def is_complete_raw(folder: Path, disease: str, index: int) -> bool:
    """Whether a subject's folder holds all its files, of every session, each whole."""
    for session in sessions_of(disease, index):
        at = (disease, index, session)
        images = [*scan_files(*at).values(), *brain_files(*at).values()]
        if not all(is_whole(folder / file) for file in images):
            return False
        if not all(_is_pose(folder / file) for file in pose_files(*at).values()):
            return False
    return True


def write_raw(
    series: Mapping[str, RawSeries],
    folder: Path,
    *,
    disease: str,
    index: int,
    session: str | None = None,
) -> None:
    """Write a subject's series, label and truth of a session.

    Args:
        series: modality → series, all of them.
        folder: there, without these files.
        disease: ``ms``, ``brats`` or ``wmh``.
        index: position in the cohort.
        session: of ``wmh``.
    """
    fixed = series[LABELLED]
    at = (disease, index, session)
    scans, brains = scan_files(*at), brain_files(*at)
    volumes: dict[Path, tuple[npt.NDArray[Any], RawSeries]] = {
        scans["label"]: (fixed.lesion, fixed)
    }
    for name, one in series.items():
        volumes[scans[name]] = one.voxels, one
        volumes[brains[name]] = one.brain.astype(np.uint8), one
    for path, (voxels, one) in volumes.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(nifti_bytes(voxels, one.affine, form_code=_SCANNER))
    for name, path in pose_files(*at).items():
        to_body = np.eye(4) if name == LABELLED else fixed.to_body
        from_ras(np.linalg.inv(series[name].to_body) @ to_body).save(folder / path)


def _is_pose(path: Path) -> bool:
    try:
        read_transform(path)
    except InputError:
        return False
    return True
