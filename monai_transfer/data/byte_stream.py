"""The bytes of a file in order, unpacked when zipped, and never more of them than asked for.

Stock readers stop at the last voxel, before the gzip checksum, so that a flipped bit becomes wrong
voxels without a word. Reading on costs nothing. What a small file may unpack to, and into how many
pieces it may be cut, is bounded: a crafted one takes neither the memory nor the afternoon.
"""

import os
import stat
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

_CHUNK_BYTES = 1 << 16
_PIECE_BYTES = 1 << 22
_ENOUGH_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
MOST_MEMBERS = 100_000
"""Pieces of a gzip file: 6 GB in the blocks of 64 KiB that ``bgzip`` writes."""


class ScanError(Exception):
    """A file that cannot be used as it is.

    Args:
        code: the rule it breaks, a key of `monai_transfer.data.faults.RULES`.
        value: what was found.
    """

    def __init__(self, code: str, value: str) -> None:
        super().__init__(code, value)
        self.code, self.value = code, value


class ByteStream(ABC):
    """Bytes to be taken from the front."""

    @abstractmethod
    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, or fewer at the end of the file, a piece at a time."""

    @abstractmethod
    def drain(self) -> int:
        """Read to the end; the number of bytes that were left, counted no further than 1 MiB."""

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end of the file."""
        return b"".join(self.pieces(size))

    def skip(self, size: int) -> None:
        """Pass over the next `size` bytes."""
        for _ in self.pieces(size):
            pass

    def fill(self, buffer: memoryview) -> int:
        """Fill a buffer; the number of bytes that there were for it."""
        filled = 0
        for piece in self.pieces(len(buffer)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled


@contextmanager
def open_stream(path: Path) -> Iterator[ByteStream]:
    """Open a ``.gz`` or plain file.

    Raises:
        ScanError: it is missing, empty, not a regular file, or cannot be read.

    Example:
        >>> with open_stream(Path(__file__)) as stream:
        ...     stream.take(3)
        b'\"\"\"'
    """
    require_regular(path)
    try:
        with FileIO(path) as file:
            yield _Zipped(file) if path.name.lower().endswith(".gz") else _Plain(file)
    except OSError as fault:
        raise ScanError("G202", str(fault.strerror)) from None


def require_regular(path: Path) -> None:
    """Refuse what is not a file with something in it.

    Raises:
        ScanError: it is missing, empty, a directory, a pipe or a device.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ScanError("G201", "no file") from None
    except OSError as fault:
        raise ScanError("G202", str(fault.strerror)) from None
    except ValueError:
        raise ScanError("G202", "a name that no file can have") from None
    if stat.S_ISDIR(found.st_mode):
        raise ScanError("G202", "a directory")
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device might never end
        raise ScanError("G202", "a pipe or device")
    if found.st_size == 0:
        raise ScanError("G204", "an empty file")


class _Plain(ByteStream):
    def __init__(self, file: FileIO) -> None:
        self._file = file

    def pieces(self, size: int) -> Iterator[bytes]:
        size = min(max(size, 0), sys.maxsize)  # what a broken header declares fits no machine
        while size > 0 and (piece := self._file.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece

    def drain(self) -> int:
        return max(os.fstat(self._file.fileno()).st_size - self._file.tell(), 0)


class _Zipped(ByteStream):
    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._left = b""
        self._members = 0
        self._open_member()

    def pieces(self, size: int) -> Iterator[bytes]:
        while size > 0 and (piece := self._next(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece

    def drain(self) -> int:
        size = 0
        while size < _ENOUGH_BYTES and (piece := self._next(_ENOUGH_BYTES)):
            size += len(piece)
        return size

    def _next(self, size: int) -> bytes:
        """At least one byte and at most `size`; none at the end of the file."""
        while not self._inflate.eof or self._another_member():
            # a chunk at a time: zlib copies what it has not used in every call
            self._left = self._left or self._file.read(_CHUNK_BYTES)
            if not self._left:
                raise ScanError("G203", "a file that breaks off")
            try:
                piece = self._inflate.decompress(self._left, size)
            except zlib.error as fault:
                raise ScanError("G203", str(fault).rpartition(": ")[-1]) from None
            self._left = self._inflate.unconsumed_tail
            if piece:
                return piece
        return b""

    def _another_member(self) -> bool:
        """Go on to the next member of a file zipped in pieces; gzip allows zeros at the end."""
        rest = self._inflate.unused_data.lstrip(b"\0")
        while len(rest) < len(_GZIP_MAGIC) and (chunk := self._file.read(_CHUNK_BYTES)):
            rest = (rest + chunk).lstrip(b"\0")
        if rest and not rest.startswith(_GZIP_MAGIC):
            behind = os.fstat(self._file.fileno()).st_size - self._file.tell()
            raise ScanError("G203", f"{len(rest) + behind} bytes after its end")
        self._left = rest
        if rest:
            self._open_member()
        return bool(rest)

    def _open_member(self) -> None:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise ScanError("G206", f"more than {MOST_MEMBERS} pieces")
        self._inflate = zlib.decompressobj(wbits=31)  # 31: gzip, checksum and length are verified
