import os
import stat

import pytest
import torch

from monai_transfer.training import save_atomically, written_aside


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


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_colleagues_may_read_the_file_as_any_other(tmp_path):
    (tmp_path / "plain").touch()
    save_atomically({}, tmp_path / "model.pt")
    modes = [(tmp_path / name).stat().st_mode for name in ("plain", "model.pt")]
    assert modes[0] == modes[1]


def test_what_is_saved_can_be_loaded_and_has_the_same_bytes_each_time(tmp_path):
    state = {"weight": torch.arange(6.0).reshape(2, 3)}
    paths = [tmp_path / name for name in ("a.pt", "b.pt")]
    for path in paths:
        save_atomically(state, path)
    assert torch.equal(torch.load(paths[0], weights_only=True)["weight"], state["weight"])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_save_that_breaks_off_keeps_the_old_weights(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_atomically({"weight": torch.ones(2)}, path)
    before = path.read_bytes()

    def breaks_off(_content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", breaks_off)
    with pytest.raises(OSError, match="No space left"):
        save_atomically({"weight": torch.zeros(2)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
