"""What a NIfTI header says: how the voxels are stored, where they lie, and whom it gives away."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from monai_transfer.data.byte_stream import ByteStream, ScanError
from monai_transfer.data.header_texts import TEXT_FIELDS, identifying_fields

_FIRST_BYTES = 4  # sizeof_hdr: which NIfTI it is, in the byte order of the file
_HEADERS: dict[int, Callable[..., Nifti1Header]] = {348: Nifti1Header, 540: Nifti2Header}
_EXTENSION_BYTES = 1 << 20
_SILENT = logging.Logger("nibabel's remarks, which name no file", logging.CRITICAL)

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Placement:
    """Where the voxels of a file lie, by each of the ways a header has to say it.

    Args:
        affine: voxel index → world mm (RAS+), by sform, else qform, else spacing: nibabel's choice.
        qform: likewise by the quaternion; ``None`` without one, NaN if it is no rotation.
        has_sform: whether there is one.
        pixdim: size of a voxel along x, y and z, a number of its own.
        unit: of lengths: 0 not said, 1 m, 2 mm, 3 µm.
    """

    affine: Matrix
    qform: Matrix | None
    has_sform: bool
    pixdim: tuple[float, ...]
    unit: int


class Header(NamedTuple):
    """What of a header the voxels and the rules depend on.

    Args:
        shape: x y z and perhaps channels.
        dtype: stored type and byte order.
        slope: the value of a voxel is ``slope · voxel + intercept``.
        intercept: see slope.
        placement: where the voxels lie.
        identifying: names of the fields whose text may tell who the patient is.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.number]
    slope: float
    intercept: float
    placement: Placement
    identifying: tuple[str, ...]

    @property
    def voxel_bytes(self) -> int:
        """Size of the voxels as stored."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: ByteStream) -> Header:
    """Read the header and what lies between it and the voxels.

    Args:
        stream: at the beginning of the file; afterwards at the first voxel.

    Raises:
        ScanError: not NIfTI, or not of real numbers.

    Source:
        NIfTI-1.1 and NIfTI-2, nifti.nimh.nih.gov. What nibabel mends in a header, it mends here,
        as it does for the loader.
    """
    first = stream.take(_FIRST_BYTES)
    sizes = {int.from_bytes(first, "little"), int.from_bytes(first, "big")} & set(_HEADERS)
    if not sizes:
        raise ScanError("G204", "no NIfTI header")
    size = sizes.pop()
    block = first + stream.take(size - len(first))
    try:
        with np.errstate(all="ignore"):
            raw = _HEADERS[size](block, check=False)
            texts = {name: raw[name].item() for name in TEXT_FIELDS if name in raw}
            header = _parse(raw)
            gap_bytes = int(raw.get_data_offset()) - size
    # ValueError: a quaternion that is no rotation, an offset that is NaN; OverflowError: infinity
    except (HeaderDataError, WrapStructError, ValueError, OverflowError) as fault:
        raise ScanError("G204", f"a broken header ({fault})") from None
    if not header.shape or min(header.shape) < 1:
        raise ScanError("G204", f"the shape {header.shape}")
    if header.dtype.kind not in "iuf":
        raise ScanError("G204", "complex or RGB voxels")
    extension = stream.take(min(gap_bytes, _EXTENSION_BYTES))
    stream.skip(gap_bytes - len(extension))
    return header._replace(identifying=identifying_fields({**texts, "extension": extension}))


def _parse(header: Nifti1Header) -> Header:
    header.check_fix(logger=_SILENT)
    if not header["magic"].item().startswith(b"n+"):
        raise ValueError("its voxels are in another file")
    slope, intercept = header.get_slope_inter()
    placement = Placement(
        affine=_rows(header.get_best_affine()),
        qform=_qform(header),
        has_sform=int(header["sform_code"]) > 0,
        pixdim=tuple(float(size) for size in header["pixdim"][1:4]),
        unit=int(header["xyzt_units"]) & 7,
    )
    return Header(
        shape=tuple(int(size) for size in header.get_data_shape()),
        dtype=header.get_data_dtype(),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if slope is None else float(intercept),
        placement=placement,
        identifying=(),
    )


def _qform(header: Nifti1Header) -> Matrix | None:
    if int(header["qform_code"]) == 0:
        return None
    try:
        return _rows(header.get_qform())
    except ValueError:
        return _rows(np.full((4, 4), np.nan))


def _rows(matrix: NDArray[np.floating]) -> Matrix:
    return tuple(tuple(float(number) for number in row) for row in matrix)
