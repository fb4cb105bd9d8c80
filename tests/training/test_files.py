import os

import pytest
import torch

from monai_transfer.training import save_atomically


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
