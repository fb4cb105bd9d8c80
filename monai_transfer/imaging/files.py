"""Images from files and into files."""

import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from monai_transfer._files import written_aside
from monai_transfer._metaimage import MetaImageError, load_image
from monai_transfer.errors import InputError
from monai_transfer.imaging.dicom import read_dicom
from monai_transfer.imaging.image import Image


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a 3D image to its end; scaled integers come as float32, others in their own type.

    Args:
        path: ``.nii``, ``.nii.gz`` or ``.mha``; or a folder with one DICOM series, see
            :func:`~monai_transfer.imaging.dicom.read_dicom`.

    Raises:
        InputError: a file that is missing, damaged, not 3D, or whose affine has no inverse.
    """
    if Path(path).is_dir():
        return read_dicom(path)
    name = Path(path).name
    if not Path(path).exists():
        raise InputError(name, "file", "exist")
    try:
        loaded = load_image(path)
        voxels = _voxels(loaded)
    except (OSError, EOFError, ValueError, ImageFileError, MetaImageError) as fault:
        raise InputError(name, "file", "be a whole 3D image", got=f"{fault}") from fault
    if voxels.ndim != 3:
        raise InputError(name, "image", "be 3D", got=f"shape {voxels.shape}")
    affine = np.asarray(loaded.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise InputError(name, "affine", "be finite and invertible", got=affine.tolist())
    return Image(voxels, affine)


def write_image(image: Image, path: str | os.PathLike[str]) -> None:
    """Write a NIfTI file aside and rename it; qform and sform alike.

    Args:
        image: booleans are written as 0 and 1 in uint8.
        path: ``.nii`` or ``.nii.gz``.

    Raises:
        InputError: another suffix.
    """
    if not os.fspath(path).endswith((".nii", ".nii.gz")):
        raise InputError(os.fspath(path), "name", "end in .nii or .nii.gz")
    voxels = image.voxels.astype(np.uint8) if image.voxels.dtype == bool else image.voxels
    nifti = Nifti1Image(voxels, image.affine, dtype=voxels.dtype)
    nifti.set_qform(image.affine, code="scanner")
    nifti.set_sform(image.affine, code="scanner")
    nifti.header.set_xyzt_units("mm")
    with written_aside(path) as aside:
        nib.save(nifti, aside)


def _voxels(loaded: Any) -> NDArray[Any]:
    """As stored, or as float32 where the header scales them; a trailing axis of 1 is left out."""
    proxy = loaded.dataobj
    scaled = getattr(proxy, "slope", 1.0) != 1.0 or getattr(proxy, "inter", 0.0) != 0.0
    voxels = np.asarray(loaded.get_fdata(dtype=np.float32) if scaled else proxy)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    return voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
