import atexit
import json
import os
import signal
import sys
from pathlib import Path

import ignite.distributed as idist
import pytest
from ignite.engine import Engine

from monai_transfer._lock import FolderLock
from monai_transfer.errors import InputError
from monai_transfer.training import (
    CollapseError,
    Session,
    Status,
    Stopped,
    console,
    read_status,
    require_usable,
)
from monai_transfer.training.session import CHECKPOINT, without_alarm

pytestmark = pytest.mark.skipif(os.name != "posix", reason="its signals and locks are POSIX's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "first"


def begun(folder: Path, *, resume: bool = False) -> Session:
    session = Session(folder)
    session.begin(resume=resume)
    return session


def state(folder: Path) -> str:
    status = read_status(folder)
    assert status is not None
    return status.state


@pytest.mark.parametrize(
    ("end", "reason"),
    [("done", None), ("failed", "too warm"), ("collapsed", "it died"), ("stopped", "by hand")],
)
def test_a_run_says_that_it_is_on_and_how_it_ended(folder: Path, end: str, reason: str | None):
    session = begun(folder)
    session.progress(2, 5)
    assert read_status(folder) == Status("running", 2, 5)
    assert (folder / ".lock").exists()
    session.end(end, reason)
    assert read_status(folder) == Status(end, 2, 5, reason)
    assert [path.name for path in folder.iterdir()] == ["status.json"]


def test_the_first_end_counts(folder: Path):
    session = begun(folder)
    session.end("failed", "too warm")
    session.end("done")
    assert state(folder) == "failed"


def test_a_training_that_collapsed_is_told_from_one_that_failed(folder: Path):
    died = RuntimeError("as a config's evaluation ends")
    died.__cause__ = CollapseError("training, step 3", "output", "depend on the image")
    with pytest.raises(RuntimeError), begun(folder).running():
        raise died
    assert read_status(folder) == Status("collapsed", 0, 0, "output must depend on the image")


def test_the_end_takes_the_checkpoint_away_only_when_it_is_done(folder: Path):
    session = begun(folder)
    (folder / CHECKPOINT).touch()
    session.end("failed", "too warm")
    assert (folder / CHECKPOINT).exists()
    begun(folder, resume=True).end("done")
    assert not (folder / CHECKPOINT).exists()


def test_a_second_run_in_the_folder_is_refused_and_a_dead_one_is_not(folder: Path):
    folder.mkdir(parents=True)
    reading, writing = os.pipe()
    other = os.fork()
    if other == 0:
        os.write(writing, b"1" if FolderLock(folder).acquire() else b"0")
        signal.pause()
    assert os.read(reading, 1) == b"1"
    with pytest.raises(InputError, match="be no other run's, got one that is running"):
        begun(folder)
    assert not (folder / "status.json").exists()
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
    assert (folder / ".lock").exists()  # what a killed run leaves
    session = begun(folder)
    session.end("done")
    assert not (folder / ".lock").exists()


def test_a_run_that_its_own_process_gave_up_is_ended(folder: Path):
    begun(folder)
    again = begun(folder)
    assert Session.current is again
    assert state(folder) == "running"
    begun(folder.with_name("other"))
    status = read_status(folder)
    assert status is not None
    assert status.reason == "another run of its process took its place"


def test_what_a_killed_run_left_aside_is_cleared_away(folder: Path):
    (folder / "predictions").mkdir(parents=True)
    orphan = folder / "predictions" / ".aside.77.sub-01.nii.gz"
    orphan.touch()
    (folder / ".aside.notes").touch()  # not ours
    begun(folder)
    assert not orphan.exists()
    assert (folder / ".aside.notes").exists()


def test_going_on_says_what_is_known_of_the_run_before(folder: Path):
    begun(folder)
    Status("running", 3, 9).write(folder)
    session = Session.current
    assert session is not None
    session._lock.release()
    Session.current = None  # as if its process had been killed
    with console.capture() as said:
        begun(folder, resume=True)
    words = " ".join(said.get().split())
    assert "was killed after epoch 3" in words
    assert "alive on another machine" in words
    assert "no checkpoint to go on from: the run begins" in words


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_with_its_status(folder: Path, signum: int, code: int):
    before = signal.getsignal(signum)
    begun(folder)
    with console.capture() as said, pytest.raises(Stopped) as stopped:
        os.kill(os.getpid(), signum)
    assert stopped.value.code == code
    name = signal.Signals(signum).name
    assert read_status(folder) == Status("stopped", reason=f"stopped by {name}")
    assert said.get() == (
        f"Stopped by {name}. Nothing is kept. To begin again: "
        f"the same command with --output_dir {folder}\n"
    )
    assert signal.getsignal(signum) is before


def test_a_signal_waits_while_a_step_is_on_and_the_second_does_not(folder: Path):
    session, reached = begun(folder), []

    def step() -> None:
        with session.running():
            os.kill(os.getpid(), signal.SIGINT)
            reached.append(session.is_asked())
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("after the second")

    with console.capture(), pytest.raises(Stopped):
        step()
    assert reached == [True]


def test_a_signal_that_nobody_asked_about_counts_at_the_step_s_end(folder: Path):
    session = begun(folder)
    with console.capture(), pytest.raises(Stopped), session.running():
        os.kill(os.getpid(), signal.SIGTERM)
    assert state(folder) == "stopped"


def test_a_run_with_a_checkpoint_says_how_to_go_on(folder: Path):
    session = begun(folder)
    session.progress(2, 5)
    (folder / CHECKPOINT).touch()
    with console.capture() as said, pytest.raises(Stopped):
        session.stop()
    how = f"the same command with --output_dir {folder} --resume True"
    assert said.get() == f"Stopped by SIGTERM after epoch 2 of 5. To go on: {how}\n"


@pytest.mark.parametrize(("end", "told"), [("done", []), ("failed", ["failed"])])
def test_whoever_asked_is_told_of_an_end_that_is_none(folder: Path, end: str, told: list[str]):
    session, heard = begun(folder), []
    session.told = heard.append
    session.end(end)
    session.end("failed")
    assert heard == told


def test_an_engine_does_not_call_a_stop_an_error(caplog: pytest.LogCaptureFixture):
    def ended(error: BaseException) -> Engine:
        def step(engine: Engine, batch: int) -> None:
            raise error

        engine = Engine(step)
        without_alarm(engine)
        with pytest.raises(type(error)):
            engine.run([0])
        return engine

    ended(Stopped(signal.SIGINT))
    assert not caplog.records
    ended(ValueError("too warm"))
    assert "too warm" in caplog.text


def test_a_run_that_is_done_stays_done_whatever_was_asked(folder: Path):
    session = begun(folder)
    with session.running():
        os.kill(os.getpid(), signal.SIGTERM)
        session.end("done")
    assert state(folder) == "done"


def test_an_error_in_a_step_ends_the_run(folder: Path):
    session = begun(folder)
    with pytest.raises(InputError), session.running():
        raise InputError("/home/ada/x.nii", "label", "be whole", got="/home/ada")
    status = read_status(folder)
    assert status is not None
    assert (status.state, status.reason) == ("failed", "label must be whole")
    assert Session.current is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(5, "Input/output error", "/home/ada"), "OSError: Input/output error"),
        (None, "ended early"),
    ],
)
def test_a_process_that_ends_early_says_so(
    error: Exception | None, reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "last_value", error, raising=False)  # what ended the interpreter
    session = begun(folder)
    atexit.unregister(session._abandon)
    session._abandon()
    assert read_status(folder) == Status("failed", reason=reason)
    assert not (folder / ".lock").exists()


def test_other_processes_of_a_run_neither_lock_nor_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    session = begun(folder)
    session.progress(1, 2)
    session.end("failed", "too warm")
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_refused_with_its_reason(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="it must be writable, got Not a directory"):
        begun(tmp_path / "file" / "run")


@pytest.mark.parametrize("resume", [True, False])
def test_a_new_or_foreign_folder_is_usable(folder: Path, *, resume: bool):
    require_usable(folder, resume=resume)
    folder.mkdir(parents=True)
    (folder / "notes.txt").touch()
    require_usable(folder, resume=resume)
    Status("failed").write(folder)
    require_usable(folder, resume=resume)


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_that_is_done_is_not_touched_again(folder: Path, *, resume: bool):
    folder.mkdir(parents=True)
    Status("done").write(folder)
    with pytest.raises(InputError, match="hold no run that is done"):
        require_usable(folder, resume=resume)


def test_a_status_that_is_none_is_named(folder: Path):
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"state": "fine"}))
    with pytest.raises(InputError, match=r"status\.json: it must hold a run's status"):
        read_status(folder)
