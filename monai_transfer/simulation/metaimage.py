"""The bytes of a simulated image's MetaImage file."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from monai_transfer._metaimage import MetaImageError, load_metaimage

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def metaimage_bytes(stored: npt.NDArray[np.int16], affine: npt.NDArray[Any]) -> bytes:
    """A compressed MetaImage file (.mha), with the lines that those of BraTS 2015 have.

    Args:
        stored: (x, y, z).
        affine: voxel index → world mm, RAS+.
    """
    to_lps = _RAS_TO_LPS @ affine
    spacing_mm = np.linalg.norm(to_lps[:3, :3], axis=0)
    packed = zlib.compress(stored.astype("<i2").tobytes(order="F"), 1)
    lines = {
        "ObjectType": "Image",
        "NDims": "3",
        "Comment": "simulated, not a patient",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(packed)),
        "TransformMatrix": _numbers((to_lps[:3, :3] / spacing_mm).T.ravel()),
        "Offset": _numbers(to_lps[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": _numbers(spacing_mm),
        "DimSize": _numbers(stored.shape),
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{key} = {text}\n" for key, text in lines.items()).encode() + packed


def is_whole_metaimage(path: Path) -> bool:
    """Whether a file is there and can be read to its end, with the right checksum.

    Example:
        >>> is_whole_metaimage(Path("no/such/file.mha"))
        False
    """
    try:
        load_metaimage(path)
    except MetaImageError:
        return False
    return True


def _numbers(values: Any) -> str:
    return " ".join(f"{value + 0.0:.12g}" for value in values)  # + 0: no minus before a zero
