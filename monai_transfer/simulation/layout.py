"""Where a prepared subject's files go: the layouts of the real data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from monai_transfer.simulation.nifti import is_whole, nifti_bytes
from monai_transfer.simulation.scanner import MODALITIES
from monai_transfer.simulation.subject import Subject, grade_of


@dataclass(frozen=True)
class Layout:
    """How a data set names and stores its files.

    Args:
        flips: array axes stored against RAS+ (LPS: 0 and 1; LAS: 0).
        qform_code, sform_code: meaning of the header's two transforms.
        suffixes: modality, or ``label``, → end of the file name.
    """

    flips: tuple[int, ...]
    form_code: int
    suffixes: Mapping[str, str]


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        # BraTS 2018: HGG/Brats18_…_1/Brats18_…_1_flair.nii.gz
        "brats": Layout(
            flips=(0, 1),
            form_code=2,
            suffixes={"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair", "label": "seg"},
        ),
        # BIDS-like, after the open multiple-sclerosis set: sub-…/anat/sub-…_space-MNI_FLAIR.nii.gz
        "ms": Layout(
            flips=(0,),
            form_code=4,
            suffixes={
                "t1": "space-MNI_T1w",
                "t1c": "space-MNI_ce-gadolinium_T1w",
                "t2": "space-MNI_T2w",
                "flair": "space-MNI_FLAIR",
                "label": "space-MNI_label-lesion_mask",
            },
        ),
    }
)


def subject_folder(disease: str, index: int) -> Path:
    """Folder of a subject, relative to the cohort.

    Example:
        >>> subject_folder("brats", 1).as_posix(), subject_folder("ms", 0).as_posix()
        ('LGG/Brats18_SIM_0002_1', 'sub-ms0001')
    """
    if disease == "brats":
        return Path(grade_of(index)) / f"Brats18_SIM_{index + 1:04d}_1"
    return Path(f"sub-ms{index + 1:04d}")


def subject_files(disease: str, index: int) -> dict[str, Path]:
    """Files of a subject, relative to its folder: the four modalities and ``label``.

    Example:
        >>> subject_files("ms", 0)["flair"].as_posix()
        'anat/sub-ms0001_space-MNI_FLAIR.nii.gz'
    """
    name = subject_folder(disease, index).name
    folder = Path("anat") if disease == "ms" else Path()
    return {
        content: folder / f"{name}_{suffix}.nii.gz"
        for content, suffix in LAYOUTS[disease].suffixes.items()
    }


def is_complete(folder: Path, disease: str, index: int) -> bool:
    """Whether a subject's folder holds all its files, each whole."""
    return all(is_whole(folder / path) for path in subject_files(disease, index).values())


def write_subject(subject: Subject, folder: Path) -> None:
    """Write the four images and the label of a subject, stored as the data set stores its own.

    Args:
        subject: (x, y, z) RAS+.
        folder: there, and empty.
    """
    layout = LAYOUTS[subject.disease]
    affine = subject.grid.affine
    for axis in layout.flips:
        affine[axis, 3] += affine[axis, axis] * (subject.label.shape[axis] - 1)
        affine[axis, axis] *= -1
    volumes = {**dict(zip(MODALITIES, subject.image, strict=True)), "label": subject.label}
    for content, path in subject_files(subject.disease, subject.index).items():
        stored = np.flip(volumes[content], layout.flips).astype(np.int16)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(nifti_bytes(stored, affine, form_code=layout.form_code))
