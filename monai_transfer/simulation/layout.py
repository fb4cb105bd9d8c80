"""Where a prepared subject's files go: the layouts of the real data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from monai_transfer.simulation.body import SERIES, grade_of
from monai_transfer.simulation.nifti import is_whole, nifti_bytes
from monai_transfer.simulation.subject import Subject
from monai_transfer.simulation.visits import sessions_of


@dataclass(frozen=True)
class Layout:
    """How a data set names and stores its files.

    Args:
        flips: array axes stored against RAS+ (LPS: 0 and 1; LAS: 0).
        form_code: meaning of the header's two transforms.
        suffixes: modality, ``label`` or the name of a further label → end of the file name.
        folder: of BIDS, within a subject's.
    """

    flips: tuple[int, ...]
    form_code: int
    suffixes: Mapping[str, str]
    folder: str = "anat"


def _mni(**labels: str) -> Layout:
    """BIDS-like derivatives of T1 alone in MNI space, as those of ``ms``."""
    suffixes = {"t1": "T1w", **labels}
    return Layout(
        flips=(0,),
        form_code=4,
        suffixes={content: f"space-MNI_{suffix}" for content, suffix in suffixes.items()},
    )


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
        # BIDS-like with sessions, on the FLAIR's slices: sub-…/ses-…/anat/sub-…_ses-…_FLAIR.nii.gz
        "wmh": Layout(
            flips=(0,),
            form_code=1,
            suffixes={
                "t1": "space-FLAIR_T1w",
                "flair": "FLAIR",
                "label": "space-FLAIR_label-WMH_mask",
            },
        ),
        "tissue": _mni(label="desc-tissue_dseg", structures="desc-structures_dseg"),
        "stroke": _mni(label="label-lesion_mask"),
        "anatomy": _mni(label="desc-regions_dseg"),
        # Grey values of pictures, each in a plane of its own; no anatomy.
        "natural": Layout(
            flips=(),
            form_code=1,
            suffixes={"t1": "grey", "label": "desc-objects_dseg"},
            folder="pictures",
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
    return Path(f"sub-{disease}{index + 1:04d}")


def subject_files(disease: str, index: int, session: str | None = None) -> dict[str, Path]:
    """Files of a subject at a session, relative to its folder: modalities, ``label`` and others.

    Example:
        >>> subject_files("ms", 0)["flair"].as_posix()
        'anat/sub-ms0001_space-MNI_FLAIR.nii.gz'
        >>> subject_files("wmh", 0, "baseline")["flair"].as_posix()
        'ses-baseline/anat/sub-wmh0001_ses-baseline_FLAIR.nii.gz'
    """
    name = subject_folder(disease, index).name
    layout = LAYOUTS[disease]
    stem = name if disease == "brats" else anat_stem(name, session, folder=layout.folder)
    return {content: Path(f"{stem}_{suffix}.nii.gz") for content, suffix in layout.suffixes.items()}


def anat_stem(name: str, session: str | None, *, folder: str = "anat") -> str:
    """Begin of the paths of BIDS's files within a subject's folder.

    Example:
        >>> anat_stem("sub-1", None), anat_stem("sub-1", "baseline", folder="truth")
        ('anat/sub-1', 'ses-baseline/truth/sub-1_ses-baseline')
    """
    if session is None:
        return f"{folder}/{name}"
    return f"ses-{session}/{folder}/{name}_ses-{session}"


def is_complete(folder: Path, disease: str, index: int) -> bool:
    """Whether a subject's folder holds all its files, of every session, each whole."""
    return all(
        is_whole(folder / path)
        for session in sessions_of(disease, index)
        for path in subject_files(disease, index, session).values()
    )


def write_subject(subject: Subject, folder: Path) -> None:
    """Write images and label of a subject at a session, stored as the data set stores its own.

    Args:
        subject: (x, y, z) RAS+.
        folder: there, without these files.
    """
    layout = LAYOUTS[subject.disease]
    affine = subject.grid.affine
    for axis in layout.flips:
        affine[axis, 3] += affine[axis, axis] * (subject.label.shape[axis] - 1)
        affine[axis, axis] *= -1
    images = dict(zip(SERIES[subject.disease], subject.image, strict=True))
    volumes = {**images, "label": subject.label, **subject.others}
    files = subject_files(subject.disease, subject.index, subject.session)
    for content, path in files.items():
        stored = np.flip(volumes[content], layout.flips).astype(np.int16)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(nifti_bytes(stored, affine, form_code=layout.form_code))
