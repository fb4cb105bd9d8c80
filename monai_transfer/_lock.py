"""One process at a time in a folder."""

import errno
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
"""Name of the file that is locked; it holds nothing."""

_HELD = (errno.EAGAIN, errno.EACCES)


class FolderLock:
    """A lock on a folder that the system itself gives back when the process ends, however it ends.

    It is a POSIX record lock: loader processes do not inherit it, so that none of them holds it
    after their parent was killed. On a shared file system (NFS, Lustre with ``flock``) it holds
    between machines, and after a machine died until its server notices. Where a file system has
    no locks, nothing can be known of others.

    Args:
        folder: exists.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._handle: int | None = None

    def acquire(self) -> bool | None:
        """Take the lock.

        Returns:
            Whether it was free; ``None`` where there are no locks.

        Raises:
            OSError: the file cannot be made.
        """
        if sys.platform == "win32":
            return None
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                if error.errno in _HELD:
                    return False
                self.path.unlink(missing_ok=True)
                return None
            if self._is_the_file(handle):
                self._handle = handle
                return True
            os.close(handle)  # its last owner removed it meanwhile

    def release(self) -> None:
        """Remove the file and give the lock back, in this order."""
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    def _is_the_file(self, handle: int) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            return False
