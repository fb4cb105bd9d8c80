"""Where a subject's files go, and the bytes in them: the layouts of the real data sets."""

import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.scanner import MODALITIES
from monai_transfer.simulation.subject import Subject, grade_of

_HEADER_BYTES = 352


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


def write_subject(subject: Subject, folder: Path) -> None:
    """Write the four images and the label of a subject into an existing, empty folder."""
    volumes = {**dict(zip(MODALITIES, subject.image, strict=True)), "label": subject.label}
    for content, path in subject_files(subject.disease, subject.index).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        data = nifti_bytes(volumes[content], subject=subject)
        (folder / path).write_bytes(data)


def is_whole(path: Path) -> bool:
    """Whether a file is there and unpacks to its end with the right checksum, to an image.

    Example:
        >>> is_whole(Path("no/such/file.nii.gz"))
        False
    """
    try:
        return len(gzip.decompress(path.read_bytes())) > _HEADER_BYTES
    except (OSError, EOFError, zlib.error):
        return False


def nifti_bytes(
    volume: npt.NDArray[np.int16] | npt.NDArray[np.uint8], *, subject: Subject
) -> bytes:
    """A gzipped NIfTI file of an (x, y, z) RAS+ volume, stored as the data set stores its own.

    Equal volumes give equal bytes: the archive holds neither time nor file name.
    """
    layout = LAYOUTS[subject.disease]
    affine = subject.grid.affine
    for axis in layout.flips:
        affine[axis, 3] += affine[axis, axis] * (volume.shape[axis] - 1)
        affine[axis, axis] *= -1
    stored = np.flip(volume, layout.flips).astype(np.int16)
    image = nib.Nifti1Image(stored, affine)
    image.set_qform(affine, layout.form_code)
    image.set_sform(affine, layout.form_code)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"simulated, not a patient"
    raw = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
        packed.write(image.to_bytes())
    return raw.getvalue()
