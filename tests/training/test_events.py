from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_transfer.training import EventLog


def shown(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values, as TensorBoard reads them."""
    return [(e.step, e.value) for e in EventAccumulator(str(folder)).Reload().Scalars(tag)]


def test_tensorboard_shows_what_was_logged(tmp_path: Path):
    log = EventLog(tmp_path)
    assert not list(tmp_path.iterdir())
    for step in (1, 2):
        log.add_scalar("loss", step / 4, step)
        log.flush()
    log.add_scalar("dice", 0.5, 1)
    log.flush()
    assert shown(tmp_path, "loss") == [(1, 0.25), (2, 0.5)]
    assert shown(tmp_path, "dice") == [(1, 0.5)]
    assert [path.name for path in tmp_path.iterdir()] == ["events.out.tfevents.0001"]


def test_what_a_killed_run_logged_after_its_checkpoint_is_dropped(tmp_path: Path):
    log = EventLog(tmp_path)
    for step in (1, 2):
        log.add_scalar("loss", step, step)
    kept = log.state_dict()
    log.add_scalar("loss", 33.0, 3)
    log.add_scalar("loss", 44.0, 4)
    log.flush()
    again = EventLog(tmp_path)
    again.load_state_dict(kept)
    again.add_scalar("loss", 3.0, 3)
    again.flush()
    assert shown(tmp_path, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_file_that_was_cut_off_hides_nothing_else(tmp_path: Path):
    log = EventLog(tmp_path)
    log.add_scalar("loss", 1.0, 1)
    kept = log.state_dict()
    log.add_scalar("loss", 2.0, 2)
    log.flush()
    (first,) = tmp_path.iterdir()
    first.write_bytes(first.read_bytes()[:-3])
    again = EventLog(tmp_path)
    again.load_state_dict(kept)
    again.add_scalar("loss", 2.0, 2)
    again.flush()
    assert shown(tmp_path, "loss") == [(1, 1.0), (2, 2.0)]


def test_a_full_disk_is_no_secret(tmp_path: Path):
    (tmp_path / "taken").touch()
    log = EventLog(tmp_path / "taken")
    log.add_scalar("loss", 1.0, 1)
    with pytest.raises(OSError, match="exists"):
        log.flush()


def test_of_several_processes_the_first_alone_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ignite.distributed.get_rank", lambda: 1)
    log = EventLog(tmp_path)
    log.add_scalar("loss", 1.0, 1)
    log.flush()
    assert not list(tmp_path.iterdir())
