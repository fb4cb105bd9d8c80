"""Files of every format that data sets come in, read to their end for checking."""

import os
from pathlib import Path
from typing import Final

import numpy as np

from monai_transfer._metaimage import MetaImageError, is_metaimage, load_metaimage
from monai_transfer.data.byte_stream import ScanError, require_regular
from monai_transfer.data.header import Placement
from monai_transfer.data.header_texts import identifying_fields
from monai_transfer.data.nifti import Scan
from monai_transfer.data.nifti import read_scan as read_nifti

_CODES: Final = {
    "missing": "G201",
    "unreadable": "G202",
    "checksum": "G203",
    "format": "G204",
    "size": "G205",
    "limit": "G206",
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
        monai_transfer.data.byte_stream.ScanError: ('G201', 'no file')
    """
    if not is_metaimage(path):
        return read_nifti(path)
    require_regular(Path(path))
    try:
        image = load_metaimage(path)
    except MetaImageError as damage:
        raise ScanError(_CODES[damage.kind], damage.value) from None
    voxels = np.asanyarray(image.dataobj).reshape(-1, order="F")
    affine = tuple(tuple(float(n) for n in row) for row in image.affine)
    sizes = tuple(float(size) for size in image.header.get_zooms())
    placement = Placement(affine, qform=None, has_sform=True, pixdim=sizes, unit=2)
    texts = {name: text.encode() for name, text in image.extra["texts"].items()}
    return Scan(image.shape, placement, voxels, 1.0, 0.0, identifying_fields(texts))
