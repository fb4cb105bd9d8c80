"""Runs that are stopped, killed or starved of disk, and go on to the same end."""

import errno
import json
import multiprocessing
import os
import runpy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.utils import set_determinism

from monai_transfer import _files
from monai_transfer.errors import InputError
from monai_transfer.training import (
    Stopped,
    console,
    read_checkpoint,
    read_status,
    save_checkpoint,
)

SCRIPT = Path(__file__).with_name("tiny_run.py")
tiny_run = runpy.run_path(str(SCRIPT))["tiny_run"]
STEPS, EPOCHS = 3, 4


@pytest.fixture(autouse=True)
def restore_randomness():
    yield
    set_determinism(seed=None)


@pytest.fixture
def run(entries: list[dict[str, Any]], tmp_path: Path) -> Callable[..., str]:
    """The tiny training, in this process, into ``run``; what it says."""

    def run(**options: Any) -> str:
        with console.capture() as said:
            tiny_run(tmp_path / "run", entries, **options)
        return said.get()

    return run


@pytest.fixture(scope="module")
def whole(entries: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with console.capture():
        tiny_run(folder, entries)
    return folder


def sent(signum: int, step: int) -> Callable[[Engine], None]:
    """In the engine's n-th step this process is sent a signal."""

    def send(engine: Engine) -> None:
        if engine.state.iteration == step:
            os.kill(os.getpid(), signum)

    return send


def require_same_end(folder: Path, whole: Path) -> None:
    """Weights, losses and scores of all epochs; and no file more."""
    for name in ("model.pt", "history.csv"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert {p.name for p in folder.iterdir()} == {p.name for p in whole.iterdir()}


def test_a_run_leaves_the_weights_of_the_best_epoch(run: Callable[..., str], tmp_path: Path):
    validated: dict[str, torch.Tensor] = {}

    def keep(engine: Any) -> None:
        validated.update({name: w.clone() for name, w in engine.network.state_dict().items()})

    run(epochs=3, at_validation=keep)  # after the second epoch, and one more epoch is trained
    left = torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    torch.testing.assert_close(left, validated, rtol=0, atol=0)


@pytest.mark.parametrize(
    "case", [(2, 0, 0, 1), (3, 0, 2, 2), (5, 2, 0, 2), (6, 0, 0, 2), (10, 2, 2, 4)], ids=str
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    case: tuple[int, int, int, int], run: Callable[..., str], whole: Path, tmp_path: Path
):
    """Within an epoch, at its last step, before a validation; with other loader processes."""
    step, workers, then, epoch = case
    with pytest.raises(Stopped) as stopped:
        run(workers=workers, at_step=sent(signal.SIGTERM, step))
    assert stopped.value.code == 143
    assert not (tmp_path / "run" / "model.pt").exists()
    said = run(workers=then, resume=True)
    assert f"The run goes on in epoch {epoch} of {EPOCHS}." in said
    require_same_end(tmp_path / "run", whole)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["interruptions"] == 1


def test_a_run_whose_dataset_makes_whole_batches_goes_on_within_an_epoch(
    run: Callable[..., str], whole: Path, tmp_path: Path
):
    with pytest.raises(Stopped):
        run(in_batches=True, at_step=sent(signal.SIGTERM, 5))
    said = run(in_batches=True, resume=True)
    assert f"The run goes on in epoch 2 of {EPOCHS}." in said
    require_same_end(tmp_path / "run", whole)


def test_a_stop_in_a_validation_loses_its_epoch_only(
    run: Callable[..., str], whole: Path, tmp_path: Path
):
    with pytest.raises(Stopped):
        run(at_validation=sent(signal.SIGTERM, 1))
    status = read_status(tmp_path / "run")
    assert status is not None
    assert (status.state, status.epoch, status.epochs) == ("stopped", 1, EPOCHS)
    run(resume=True)
    require_same_end(tmp_path / "run", whole)


def test_a_stop_says_in_one_line_how_to_go_on(
    entries: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(console, "width", 40)
    with console.capture() as said, pytest.raises(Stopped) as stopped:
        tiny_run(tmp_path / "run", entries, at_step=sent(signal.SIGINT, 1))
    assert stopped.value.code == 130
    how = f"the same command with --output_dir {tmp_path / 'run'} --resume True"
    last = said.get().splitlines()[-1]
    assert last == f"Stopped by SIGINT after epoch 0 of {EPOCHS}. To go on: {how}"


@pytest.mark.parametrize("step", [3, 4], ids=["last of an epoch", "first of an epoch"])
def test_workers_that_the_signal_reaches_first_do_not_spoil_the_stop(
    step: int, run: Callable[..., str], whole: Path, tmp_path: Path
):
    """A batch system sends it to all processes of a job."""

    def to_all(engine: Engine) -> None:
        if engine.state.iteration == step:
            os.kill(os.getpid(), signal.SIGTERM)
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGTERM)
                worker.join()

    with pytest.raises(Stopped) as stopped:
        run(workers=2, at_step=to_all)
    assert stopped.value.code == 143
    run(resume=True, workers=2)
    require_same_end(tmp_path / "run", whole)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_to_the_same_bits(
    workers: int, entries: list[dict[str, Any]], whole: Path, tmp_path: Path
):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai_transfer.training", "monai.handlers"])

    def process(**options: Any) -> int | None:
        given = {"OPTIONS": json.dumps({"workers": workers, **options})}
        given |= {"FOLDER": str(tmp_path / "run"), "ENTRIES": json.dumps(entries)}
        child = context.Process(target=runpy.run_path, args=(str(SCRIPT), given, "__main__"))
        child.start()
        child.join(120)
        return child.exitcode

    assert process(killed_at=5) == -signal.SIGKILL
    (tmp_path / "run" / f".aside.{2**22}.checkpoint.pt").write_bytes(b"half of it")
    assert read_status(tmp_path / "run").state == "running"
    assert process(resume=True) == 0
    require_same_end(tmp_path / "run", whole)


def test_a_run_killed_after_training_is_tested_and_published_again(
    run: Callable[..., str], whole: Path, tmp_path: Path
):
    with pytest.raises(ZeroDivisionError):
        run(fails=ZeroDivisionError)
    assert not (tmp_path / "run" / "model.pt").exists()
    run(resume=True)
    require_same_end(tmp_path / "run", whole)


def test_a_checkpoint_holds_every_state(run: Callable[..., str], tmp_path: Path):
    with pytest.raises(Stopped):
        run(at_step=sent(signal.SIGTERM, 8))
    kept = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert kept["states"]["trainer"]["iteration"] == 8
    assert set(kept["random"]) == {"python", "numpy", "torch", "cuda"}
    states = kept["states"]
    assert set(states) == {
        *("trainer", "network", "optimizer", "lr_scheduler", "loss", "best", "history"),
        *("record", "event_log"),
    }
    assert "encoder.pools.1.1.running_mean" in states["network"]
    assert states["lr_scheduler"]["last_epoch"] == 2
    assert states["best"]["epoch"] == 2
    assert len(kept["run"]["frozen"]) > 5
    assert len(states["history"]["losses"]) == 8 % STEPS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.01}, "learning_rate must be what the run was begun with, 0.02"),
        ({"epochs": 6}, "epochs must be what the run was begun with, 4, got 6"),
        ({"strategy": "all"}, "what is frozen must be as when the run was begun"),
    ],
)
def test_a_run_does_not_go_on_under_other_conditions(
    changed: dict[str, Any], message: str, run: Callable[..., str], tmp_path: Path
):
    with pytest.raises(Stopped):
        run(at_step=sent(signal.SIGTERM, 5))
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    with pytest.raises(InputError, match=message):
        run(resume=True, **changed)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_frozen_tensors_that_differ_in_the_checkpoint_are_refused(
    run: Callable[..., str], tmp_path: Path
):
    with pytest.raises(Stopped):
        run(at_step=sent(signal.SIGTERM, 5))
    path = tmp_path / "run" / "checkpoint.pt"
    kept = read_checkpoint(path)
    kept["states"]["network"]["encoder.pools.1.1.running_mean"] += 1
    save_checkpoint(kept, path)
    with pytest.raises(InputError, match="bit-identical"):
        run(resume=True)


@pytest.mark.parametrize(
    "case", [*((n, errno.ENOSPC) for n in range(6)), (0, errno.EROFS)], ids=str
)
def test_a_full_or_readonly_disk_leaves_the_last_checkpoint(
    case: tuple[int, int],
    run: Callable[..., str],
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """At the n-th flush from the sixth step on: of the history's, checkpoint's, status's files."""
    write, code = case
    flush, left = _files._flush, [write]

    def failing(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code), str(path))
        flush(path)

    def full(engine: Engine) -> None:
        if engine.state.iteration == 6:
            monkeypatch.setattr(_files, "_flush", failing)

    with pytest.raises(OSError, match=os.strerror(code)):
        run(at_step=full)
    monkeypatch.setattr(_files, "_flush", flush)
    folder = tmp_path / "run"
    kept = read_checkpoint(folder / "checkpoint.pt")
    assert kept["states"]["trainer"]["iteration"] in (3, 6)
    assert not list(folder.rglob(".aside*"))
    run(resume=True)
    require_same_end(folder, whole)


def test_a_training_that_diverges_stops_at_that_step_and_publishes_nothing(
    run: Callable[..., str], tmp_path: Path
):
    steps = []

    def poison(engine: Engine) -> None:
        steps.append(engine.state.iteration)
        if engine.state.iteration == 5:
            with torch.no_grad():
                engine.network.head.output.bias.fill_(float("nan"))

    with pytest.raises(InputError, match="epoch 2, step 5: loss must stay finite, got nan"):
        run(at_step=poison)
    assert steps[-1] == 5
    folder = tmp_path / "run"
    status = read_status(folder)
    assert status is not None
    assert (status.state, status.epoch, status.reason) == ("failed", 1, "loss must stay finite")
    assert not (folder / "model.pt").exists()
    kept = read_checkpoint(folder / "checkpoint.pt")["states"]
    assert all(torch.isfinite(value).all() for value in kept["network"].values())
