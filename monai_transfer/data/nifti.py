"""NIfTI files read to their very end: checksum, exact size, voxels in the type they are stored in.

Stock readers stop at the last voxel, before the gzip checksum, so that a flipped bit becomes wrong
voxels without a word. Reading on costs nothing: the file is inflated once, into one buffer.
"""

import logging
import math
import os
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

_GZIP_MAGIC = b"\x1f\x8b"
_DISCARD_BYTES = 1 << 20
_FIRST_BYTES = 4  # sizeof_hdr: which NIfTI it is, in the byte order of the file
_HEADERS: dict[int, Callable[..., Nifti1Header]] = {348: Nifti1Header, 540: Nifti2Header}
_SILENT = logging.Logger("nibabel's remarks, which name no file", logging.CRITICAL)


class ScanError(Exception):
    """A file that cannot be used as it is.

    Args:
        code: the rule it breaks, a key of `monai_transfer.data.faults.RULES`.
        value: what was found.
    """

    def __init__(self, code: str, value: str) -> None:
        super().__init__(code, value)
        self.code, self.value = code, value


@dataclass(frozen=True)
class Scan:
    """A whole file as stored.

    Args:
        shape: as in the header, x y z and perhaps channels.
        affine: 4×4 float64, voxel index → world mm (RAS+), by sform, else qform, else spacing.
        voxels: flat, x fastest, in the stored type and byte order; read-only.
        slope: the value of a voxel is ``slope · voxel + intercept``.
        intercept: see slope.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    voxels: NDArray[np.number]
    slope: float
    intercept: float

    def values(self, voxels: NDArray[np.number]) -> NDArray[np.float32]:
        """Scaled values of some voxels as float32, which is what networks are given.

        Example:
            >>> scan = Scan((2, 1, 1), np.eye(4), np.array([3, 4], np.int16), 0.5, 1.0)
            >>> scan.values(scan.voxels).tolist()
            [2.5, 3.0]
        """
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = voxels.astype(np.float64) * self.slope + self.intercept
            return scaled.astype(np.float32)


def read_scan(path: str | os.PathLike[str]) -> Scan:
    """Read a NIfTI-1 or NIfTI-2 file of real numbers, of either byte order, to its end.

    Args:
        path: ``.nii`` or ``.nii.gz``.

    Returns:
        The scan; its voxels share the one buffer the file was inflated into.

    Raises:
        ScanError: missing, not readable, checksum or size wrong, not NIfTI, not real numbers.

    Source:
        Ours. Format: NIfTI-1.1 and NIfTI-2, nifti.nimh.nih.gov; gzip: RFC 1952.

    Example:
        >>> read_scan("no/such.nii.gz")
        Traceback (most recent call last):
        ...
        monai_transfer.data.nifti.ScanError: ('G201', 'no file')
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".nii", ".nii.gz")):
        raise ScanError("G204", f"a name ending in {path.suffix or 'nothing'}")
    stream = _Stream(_raw_bytes(path), zipped=name.endswith(".gz"))
    header = _read_header(stream)
    stream.take(header.gap_bytes)
    expected = math.prod(header.shape) * header.dtype.itemsize
    block = stream.take(expected)
    excess = stream.drain()
    if len(block) < expected or excess:
        got = len(block) + excess
        raise ScanError("G205", f"{got} bytes of voxels where {expected} are declared")
    voxels = np.frombuffer(block, header.dtype)
    return Scan(header.shape, header.affine, voxels, header.slope, header.intercept)


class _Stream:
    """The bytes of a file in order, inflated when zipped and never more of them than asked for."""

    def __init__(self, raw: bytes, *, zipped: bool) -> None:
        self._plain = None if zipped else BytesIO(raw)
        self._left = raw
        self._inflate = zlib.decompressobj(wbits=31)  # 31: gzip, checksum and length are verified

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end of the file."""
        size = min(max(size, 0), sys.maxsize)  # what a broken header declares fits no machine
        if self._plain is not None:
            return self._plain.read(size)
        pieces = []
        while size > 0 and not self._finished():
            piece = self._next(size)
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drain(self) -> int:
        """Read to the end, checksum included; returns the number of bytes that were left."""
        if self._plain is not None:
            return len(self._plain.read())
        size = 0
        while not self._finished():
            size += len(self._next(_DISCARD_BYTES))
        return size

    def _next(self, size: int) -> bytes:
        try:
            piece = self._inflate.decompress(self._left, size)
        except zlib.error as fault:
            raise ScanError("G203", str(fault).rpartition(": ")[-1]) from None
        self._left = self._inflate.unconsumed_tail
        if not piece and not self._left and not self._inflate.eof:
            raise ScanError("G203", "a file that breaks off")
        return piece

    def _finished(self) -> bool:
        """Whether nothing is left; goes on to the next member of a file zipped in pieces."""
        if not self._inflate.eof:
            return False
        rest = self._inflate.unused_data.lstrip(b"\0")  # zero padding is allowed by gzip itself
        if rest:
            if not rest.startswith(_GZIP_MAGIC):
                raise ScanError("G203", f"{len(rest)} bytes after its end")
            self._left, self._inflate = rest, zlib.decompressobj(wbits=31)
        return not rest


def _raw_bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ScanError("G201", "no file") from None
    except OSError as fault:
        raise ScanError("G202", str(fault.strerror)) from None
    except ValueError:
        raise ScanError("G202", "a name that no file can have") from None
    if not raw:
        raise ScanError("G204", "an empty file")
    return raw


class _Header(NamedTuple):
    """What of a header the voxels depend on; `gap_bytes` lie between the two."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.number]
    affine: NDArray[np.float64]
    slope: float
    intercept: float
    gap_bytes: int


def _read_header(stream: _Stream) -> _Header:
    first = stream.take(_FIRST_BYTES)
    sizes = {int.from_bytes(first, "little"), int.from_bytes(first, "big")} & set(_HEADERS)
    if not sizes:
        raise ScanError("G204", "no NIfTI header")
    size = sizes.pop()
    block = first + stream.take(size - len(first))
    try:
        with np.errstate(all="ignore"):
            header = _parse(_HEADERS[size](block, check=False))
    # ValueError: a quaternion that is no rotation, an offset that is NaN; OverflowError: infinity
    except (HeaderDataError, WrapStructError, ValueError, OverflowError) as fault:
        raise ScanError("G204", f"a broken header ({fault})") from None
    if not header.shape or min(header.shape) < 1:
        raise ScanError("G204", f"the shape {header.shape}")
    if header.dtype.kind not in "iuf":
        raise ScanError("G204", "complex or RGB voxels")
    return header


def _parse(header: Nifti1Header) -> _Header:
    header.check_fix(logger=_SILENT)  # what nibabel mends here it mends for every reader
    if not header["magic"].item().startswith(b"n+"):
        raise ValueError("its voxels are in another file")
    slope, intercept = header.get_slope_inter()
    return _Header(
        shape=tuple(int(size) for size in header.get_data_shape()),
        dtype=header.get_data_dtype(),
        affine=np.asarray(header.get_best_affine(), np.float64),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if slope is None else float(intercept),
        gap_bytes=int(header.get_data_offset()) - header.template_dtype.itemsize,
    )
