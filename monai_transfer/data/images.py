"""Files of every format that data sets come in, read to their end for checking."""

import os
from typing import Final

import numpy as np

from monai_transfer._metaimage import MetaImageError, is_metaimage, load_metaimage
from monai_transfer.data.nifti import Scan, ScanError
from monai_transfer.data.nifti import read_scan as read_nifti

_CODES: Final = {
    "missing": "G201",
    "unreadable": "G202",
    "checksum": "G203",
    "format": "G204",
    "size": "G205",
}


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read a file to its end; see `monai_transfer.data.nifti.read_scan`.

    Args:
        path: ``.nii``, ``.nii.gz`` or ``.mha``.

    Raises:
        ScanError: a file that cannot be used as it is.

    Example:
        >>> read_scan("no/such.mha")
        Traceback (most recent call last):
        ...
        monai_transfer.data.nifti.ScanError: ('G201', 'no file')
    """
    if not is_metaimage(path):
        return read_nifti(path)
    try:
        image = load_metaimage(path)
    except MetaImageError as damage:
        raise ScanError(_CODES[damage.kind], damage.value) from None
    voxels = np.asanyarray(image.dataobj).reshape(-1, order="F")
    return Scan(image.shape, image.affine, voxels, slope=1.0, intercept=0.0)
