import os
from pathlib import Path

import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.training import read_checkpoint, save_atomically, save_checkpoint


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


@pytest.mark.parametrize("broken", ["save", "write"])
def test_a_save_that_breaks_off_keeps_the_old_weights(broken, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_atomically({"weight": torch.ones(2)}, path)
    before = path.read_bytes()

    def breaks_off(*_):
        raise OSError(28, "No space left on device")

    if broken == "save":
        monkeypatch.setattr(torch, "save", breaks_off)
    else:
        monkeypatch.setattr("pathlib.Path.write_bytes", breaks_off)
    with pytest.raises(OSError, match="No space left"):
        save_atomically({"weight": torch.zeros(2)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


STATES = {"weight": torch.arange(6.0), "rows": [{"epoch": 1, "loss": 0.5}], "python": (3, (1, 2))}


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATES, path)
    states = read_checkpoint(path)
    assert torch.equal(states.pop("weight"), STATES["weight"])
    assert states == {"rows": STATES["rows"], "python": STATES["python"]}


@pytest.mark.parametrize("at", [0.02, 0.3, 0.5, 0.7, 0.95])
def test_a_checkpoint_with_a_flipped_bit_is_refused(at, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"weight": torch.rand(10_000)}, path)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt: the checkpoint must"):
        read_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 10, 5000])
def test_half_a_checkpoint_is_refused(kept, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"weight": torch.rand(10_000)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"must be whole.*begin a new one"):
        read_checkpoint(path)


def test_no_code_is_run_from_a_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"state": Path("x")}, path)
    with pytest.raises(Exception, match="Weights only load failed"):
        read_checkpoint(path)
