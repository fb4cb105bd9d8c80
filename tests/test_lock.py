import errno
import os
from pathlib import Path

import pytest

from monai_transfer import _lock as lock
from monai_transfer._lock import FolderLock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="its locks are POSIX's")


def tried_elsewhere(folder: Path) -> bool:
    """Whether another process gets it."""
    child = os.fork()
    if child == 0:
        os._exit(0 if FolderLock(folder).acquire() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_lock_keeps_other_processes_out_until_it_is_released(tmp_path: Path):
    mine = FolderLock(tmp_path)
    assert mine.acquire() is True
    assert not tried_elsewhere(tmp_path)
    mine.release()
    assert list(tmp_path.iterdir()) == []
    assert tried_elsewhere(tmp_path)


def test_a_child_process_does_not_hold_it(tmp_path: Path):
    mine = FolderLock(tmp_path)
    mine.acquire()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(reading, 1)
        os._exit(0)
    mine.release()
    assert FolderLock(tmp_path).acquire() is True
    os.write(writing, b"x")
    os.waitpid(child, 0)


def test_a_file_that_its_owner_removed_meanwhile_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    take, times = lock.fcntl.lockf, []

    def removed_first(handle: int, how: int) -> None:
        times.append(handle)
        if len(times) == 1:
            (tmp_path / ".lock").unlink()
        take(handle, how)

    monkeypatch.setattr(lock.fcntl, "lockf", removed_first)
    mine = FolderLock(tmp_path)
    assert mine.acquire() is True
    assert len(times) == 2
    assert not tried_elsewhere(tmp_path)
    mine.release()


def test_a_file_system_without_locks_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unknown(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", unknown)
    assert FolderLock(tmp_path).acquire() is None
    assert list(tmp_path.iterdir()) == []
