"""Where a prepared subject's files go: the layouts of the real data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from monai_transfer.simulation.body import SERIES, grade_of
from monai_transfer.simulation.metaimage import is_whole_metaimage, metaimage_bytes
from monai_transfer.simulation.nifti import is_whole, nifti_bytes
from monai_transfer.simulation.subject import Subject
from monai_transfer.simulation.visits import sessions_of


@dataclass(frozen=True)
class Layout:
    """How a data set names and stores its files.

    Args:
        flips: array axes stored against RAS+ (LPS: 0 and 1; LAS: 0).
        form_code: meaning of a NIfTI header's two transforms.
        suffixes: modality, ``label`` or the name of a further label → end of the file name; of
            ``brats2015`` what stands between the archive's name and a serial number.
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
        # BraTS 2015: HGG/…_1/VSD.Brain.XX.O.MR_Flair.54512/VSD.Brain.XX.O.MR_Flair.54512.mha
        "brats2015": Layout(
            flips=(0, 1),
            form_code=2,
            suffixes={
                "t1": "Brain.XX.O.MR_T1",
                "t1c": "Brain.XX.O.MR_T1c",
                "t2": "Brain.XX.O.MR_T2",
                "flair": "Brain.XX.O.MR_Flair",
                "label": "Brain_3more.XX.O.OT",
            },
        ),
    }
)

# The serial numbers of the real files, counted from the subject's first.
_SERIALS = MappingProxyType({"flair": 0, "t1": 1, "t1c": 2, "t2": 3, "label": 5})
_FIRST_SERIAL, _SERIALS_EACH = 54512, 6


def subject_folder(disease: str, index: int) -> Path:
    """Folder of a subject, relative to the cohort.

    Example:
        >>> subject_folder("brats", 1).as_posix(), subject_folder("ms", 0).as_posix()
        ('LGG/Brats18_SIM_0002_1', 'sub-ms0001')
    """
    grade = Path(grade_of(disease, index) or "")
    if disease == "brats":
        return grade / f"Brats18_SIM_{index + 1:04d}_1"
    if disease == "brats2015":
        return grade / f"brats_sim_pat{index + 1:04d}_1"
    return Path(f"sub-{disease}{index + 1:04d}")


def subject_files(disease: str, index: int, session: str | None = None) -> dict[str, Path]:
    """Files of a subject at a session, relative to its folder: modalities, ``label`` and others.

    Example:
        >>> subject_files("ms", 0)["flair"].as_posix()
        'anat/sub-ms0001_space-MNI_FLAIR.nii.gz'
        >>> subject_files("brats2015", 1)["flair"].as_posix()
        'VSD.Brain.XX.O.MR_Flair.54518/VSD.Brain.XX.O.MR_Flair.54518.mha'
        >>> subject_files("wmh", 0, "baseline")["flair"].as_posix()
        'ses-baseline/anat/sub-wmh0001_ses-baseline_FLAIR.nii.gz'
    """
    layout = LAYOUTS[disease]
    if disease == "brats2015":
        first = _FIRST_SERIAL + _SERIALS_EACH * index
        names = {c: f"VSD.{text}.{first + _SERIALS[c]}" for c, text in layout.suffixes.items()}
        return {content: Path(name, f"{name}.mha") for content, name in names.items()}
    name = subject_folder(disease, index).name
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
        (is_whole_metaimage if path.suffix == ".mha" else is_whole)(folder / path)
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
        if path.suffix == ".mha":
            (folder / path).write_bytes(metaimage_bytes(stored, affine))
        else:
            (folder / path).write_bytes(nifti_bytes(stored, affine, form_code=layout.form_code))
