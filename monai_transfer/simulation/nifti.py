"""The bytes of a simulated image's file."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy.typing as npt

_HEADER_BYTES = 352


def nifti_bytes(stored: npt.NDArray[Any], affine: npt.NDArray[Any], *, form_code: int) -> bytes:
    """A gzipped NIfTI file; equal images give equal bytes, without time or file name.

    Args:
        stored: (x, y, z).
        affine: voxel index → world mm, RAS+.
        form_code: what that world is, for both of the header's transforms.
    """
    image = nib.Nifti1Image(stored, affine)
    image.set_qform(affine, form_code)
    image.set_sform(affine, form_code)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"simulated, not a patient"
    raw = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as packed:
        packed.write(image.to_bytes())
    return raw.getvalue()


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
