"""MetaImage files (.mha), as BraTS had them until 2015, read as strictly as NIfTI files.

Not through ITK, whose reader (5.4) gives wrong voxels and no error for a compressed file with one
flipped bit.
"""

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

Kind = Literal["missing", "unreadable", "checksum", "format", "size", "limit"]

_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2",
    "MET_UINT": "u4", "MET_INT": "i4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MOST_HEADER_BYTES = 1 << 16
MOST_VOXEL_BYTES = 1 << 32
"""4 GiB: four channels of 500×500×500 voxels, in doubles."""
# several spellings of the same, the first that is there counts: MetaIO's documentation
_OFFSET = ("Offset", "Position", "Origin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_BIG_ENDIAN = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_OF_THE_FORMAT = frozenset(
    {
        *(*_OFFSET, *_DIRECTIONS, *_BIG_ENDIAN, "ElementSpacing", "ElementSize", "DimSize"),
        *("ObjectType", "NDims", "BinaryData", "CompressedData", "CompressedDataSize"),
        *("CenterOfRotation", "AnatomicalOrientation", "ElementNumberOfChannels", "HeaderSize"),
        *("ElementType", "ElementDataFile"),
    }
)


class MetaImageError(Exception):
    """A file that cannot be used as it is.

    Args:
        kind: in which way.
        value: what was found.
    """

    def __init__(self, kind: Kind, value: str) -> None:
        super().__init__(kind, value)
        self.kind, self.value = kind, value


def is_metaimage(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a MetaImage by its name.

    Example:
        >>> is_metaimage("VSD.Brain.XX.O.MR_T1.54512.mha"), is_metaimage("t1.nii.gz")
        (True, False)
    """
    return os.fspath(path).lower().endswith(".mha")


def load_image(path: str | os.PathLike[str]) -> Any:
    """An image for computing with: a NIfTI file as nibabel loads it, a MetaImage as one.

    Args:
        path: ``.nii``, ``.nii.gz`` or ``.mha``.

    Raises:
        MetaImageError: a MetaImage that cannot be used; nibabel raises its own errors.
    """
    return load_metaimage(path) if is_metaimage(path) else nib.load(path)


def load_metaimage(path: str | os.PathLike[str]) -> Nifti1Image:
    """Read a 3D MetaImage file to its end, as the NIfTI image that says the same.

    Args:
        path: ``.mha``, header and voxels in one file, plain or compressed.

    Returns:
        Voxels in the stored type, affine voxel index → world mm in RAS+, qform and sform alike;
        lines of the header that say something else are its ``extra["texts"]``.

    Raises:
        MetaImageError: missing, not readable, checksum or size wrong, more than it may hold, not
            3D or not real numbers.

    Source:
        Format: MetaIO, https://docs.itk.org/projects/metaio. World axes are LPS there.

    Example:
        >>> load_metaimage("no/such.mha")
        Traceback (most recent call last):
        ...
        monai_transfer._metaimage.MetaImageError: ('missing', 'no file')
    """
    raw = _raw_bytes(Path(path))
    try:
        header, start = _header(raw)
        shape, dtype, affine = _grid(header)
        packed = _truth(header, ("CompressedData",))
    except (ValueError, KeyError, UnicodeDecodeError) as fault:
        raise MetaImageError("format", f"a broken header ({fault})") from None
    expected = math.prod(shape) * dtype.itemsize
    if expected > MOST_VOXEL_BYTES:
        raise MetaImageError("limit", f"{expected} bytes of voxels, by its header")
    block = raw[start:]
    if packed:
        block = _unpacked(block, header.get("CompressedDataSize"), expected)
    if len(block) != expected:
        raise MetaImageError("size", f"{len(block)} bytes of voxels where {expected} are declared")
    voxels = np.frombuffer(block, dtype).reshape(shape, order="F")
    try:
        with np.errstate(all="ignore"):  # of numbers that are too large: the affine says it itself
            image = Nifti1Image(voxels, affine)
            image.set_qform(affine, code="scanner")
    except HeaderDataError:
        raise MetaImageError("format", "axes of which one has no direction") from None
    image.header.set_xyzt_units("mm")
    image.extra["texts"] = {key: text for key, text in header.items() if key not in _OF_THE_FORMAT}
    image.file_map["image"].filename = os.fspath(path)
    return image


def _raw_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise MetaImageError("missing", "no file") from None
    except OSError as fault:
        raise MetaImageError("unreadable", str(fault.strerror)) from None


def _header(raw: bytes) -> tuple[dict[str, str], int]:
    """Key → text, and where the voxels begin: after the line ``ElementDataFile``."""
    header: dict[str, str] = {}
    start = 0
    while "ElementDataFile" not in header:
        end = raw.find(b"\n", start, _MOST_HEADER_BYTES)
        if end < 0:
            raise ValueError("no line ElementDataFile")
        key, equals, text = raw[start:end].decode("ascii").partition("=")
        if not equals or key.strip() in header:  # what it says stays unsaid: it may be a name
            raise ValueError(f"line {len(header) + 1}")
        header[key.strip()] = text.strip()
        start = end + 1
    return header, start


def _grid(
    header: Mapping[str, str],
) -> tuple[tuple[int, ...], np.dtype[np.number], NDArray[np.float64]]:
    """Shape, stored type and affine."""
    required = {"ObjectType": "Image", "NDims": "3", "ElementDataFile": "LOCAL"}
    required |= {"BinaryData": "True"}
    for key, text in required.items():
        if header[key] != text:
            raise ValueError(f"{key} is {header[key][:40]}, not {text}")
    for key, text in (("ElementNumberOfChannels", "1"), ("HeaderSize", "0")):
        if header.get(key, text) != text:
            raise ValueError(f"{key} is {header[key][:40]}")
    shape = tuple(int(text) for text in header["DimSize"].split())
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"DimSize is {header['DimSize'][:40]}")
    if header["ElementType"] not in _TYPES:
        raise ValueError(f"ElementType is {header['ElementType'][:40]}")
    order = ">" if _truth(header, _BIG_ENDIAN) else "<"
    dtype: np.dtype[np.number] = np.dtype(order + _TYPES[header["ElementType"]])
    spacing_mm = _numbers(header, ("ElementSpacing",), np.ones(3))
    if not (spacing_mm > 0).all():
        raise ValueError(f"ElementSpacing is {header['ElementSpacing'][:40]}")
    directions = _numbers(header, _DIRECTIONS, np.eye(3).ravel()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = directions.T * spacing_mm  # three numbers for each axis of the grid
    affine[:3, 3] = _numbers(header, _OFFSET, np.zeros(3))
    return shape, dtype, _LPS_TO_RAS @ affine


def _numbers(
    header: Mapping[str, str], keys: tuple[str, ...], default: NDArray[np.float64]
) -> NDArray[np.float64]:
    key = next((key for key in keys if key in header), None)
    if key is None:
        return default
    numbers = np.array([float(text) for text in header[key].split()])
    if numbers.shape != default.shape or not np.isfinite(numbers).all():
        raise ValueError(f"{key} is {header[key][:40]}")
    return numbers


def _truth(header: Mapping[str, str], keys: tuple[str, ...]) -> bool:
    text = next((header[key] for key in keys if key in header), "False")
    if text not in ("True", "False"):
        raise ValueError(f"{keys[0]} is {text[:40]}")
    return text == "True"


def _unpacked(block: bytes, declared: str | None, expected: int) -> bytes:
    """The voxels' bytes; of too many, one more than expected."""
    if declared not in (None, str(len(block))):
        got = f"{len(block)} compressed bytes where {declared} are declared"
        raise MetaImageError("size", got[:100])
    inflate = zlib.decompressobj()
    try:
        voxels = inflate.decompress(block, expected + 1)
    except zlib.error as fault:
        raise MetaImageError("checksum", str(fault).rpartition(": ")[-1]) from None
    if not inflate.eof and len(voxels) <= expected:
        raise MetaImageError("checksum", "a file that breaks off")
    if inflate.unused_data:
        raise MetaImageError("checksum", f"{len(inflate.unused_data)} bytes after its end")
    return voxels
