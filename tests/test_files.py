import os
import signal
import stat

import pytest

from monai_transfer._files import remove_orphans, written_aside


def test_the_file_appears_whole_and_nothing_else_does(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with written_aside(path) as aside:
        aside.write_text("half")
        assert not path.exists()
        assert aside.suffix == ".csv"
        aside.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def interrupted():
        with written_aside(path) as aside:
            aside.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_flushed_after_the_file_was_renamed(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_mode))
    with written_aside(tmp_path / "a") as aside:
        aside.write_text("x")
    assert [stat.S_ISDIR(mode) for mode in flushed] == [False, True]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    child = os.fork()
    if child == 0:
        with written_aside(tmp_path / "below" / "table.csv") as aside:
            aside.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / ".hidden").touch()
    (tmp_path / ".aside.txt").touch()
    (orphan,) = (tmp_path / "below").iterdir()
    assert remove_orphans(tmp_path) == [orphan]
    assert {path.name for path in tmp_path.rglob("*")} == {".hidden", ".aside.txt", "below"}
