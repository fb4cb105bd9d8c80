"""NIfTI files read to their very end: checksum, exact size, voxels in the type they are stored."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monai_transfer.data.byte_stream import ByteStream, ScanError, open_stream
from monai_transfer.data.header import Header, Placement, read_header

MOST_VOXEL_BYTES = 1 << 32
"""4 GiB: four channels of 500×500×500 voxels, in doubles."""


@dataclass(frozen=True)
class Scan:
    """A whole file as stored.

    Args:
        shape: as in the header, x y z and perhaps channels.
        placement: where the voxels lie.
        voxels: flat, x fastest, in the stored type and byte order; read-only.
        slope: the value of a voxel is ``slope · voxel + intercept``.
        intercept: see slope.
        identifying: header fields that may tell who the patient is.
    """

    shape: tuple[int, ...]
    placement: Placement
    voxels: NDArray[np.number]
    slope: float
    intercept: float
    identifying: tuple[str, ...] = ()

    @property
    def affine(self) -> NDArray[np.float64]:
        """4×4, voxel index → world mm (RAS+), by sform, else qform, else spacing."""
        return np.array(self.placement.affine)

    def values(self, voxels: NDArray[np.number]) -> NDArray[np.float32]:
        """Scaled values of some voxels as float32, which is what networks are given.

        Example:
            >>> place = Placement(((1.0,),), qform=None, has_sform=True, pixdim=(1.0,), unit=2)
            >>> scan = Scan((2, 1, 1), place, np.array([3, 4], np.int16), 0.5, 1.0)
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
        The scan; its voxels are the one buffer the file was unpacked into.

    Raises:
        ScanError: missing, not readable, checksum or size wrong, more than it may hold, not NIfTI,
            not real numbers.

    Source:
        Ours. Format: NIfTI-1.1 and NIfTI-2, nifti.nimh.nih.gov; gzip: RFC 1952.

    Example:
        >>> read_scan("no/such.nii.gz")
        Traceback (most recent call last):
        ...
        monai_transfer.data.byte_stream.ScanError: ('G201', 'no file')
    """
    path = Path(path)
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise ScanError("G204", f"a name ending in {path.suffix or 'nothing'}")
    with open_stream(path) as stream:
        header = read_header(stream)
        voxels = _read_voxels(stream, header)
    return Scan(
        header.shape,
        header.placement,
        voxels,
        header.slope,
        header.intercept,
        header.identifying,
    )


def _read_voxels(stream: ByteStream, header: Header) -> NDArray[np.number]:
    expected = header.voxel_bytes
    if expected > MOST_VOXEL_BYTES:
        raise ScanError("G206", f"{expected} bytes of voxels, by its header")
    # memory is given by the system as it is written to: a header that lies takes none
    buffer = np.empty(expected, np.uint8)
    got = stream.fill(buffer.data)
    got += stream.drain()
    if got != expected:
        raise ScanError("G205", f"{got} bytes of voxels where {expected} are declared")
    buffer.flags.writeable = False
    return buffer.view(header.dtype)
