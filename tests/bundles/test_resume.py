"""Runs of the bundles that are interrupted, and folders that are not theirs."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from monai_transfer.errors import InputError
from monai_transfer.training import Checkpoint, Session, Stopped, read_status


@pytest.fixture
def train(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Two epochs into ``out``; what was printed."""

    def train(name: str, **options: Any) -> str:
        given = {"output_dir": "out"} | room.training(name) | {"epochs": 2, "val_interval": 1}
        return run(room.bundle(name) / "train.json", **given | options)

    return train


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From now on, trainings are sent SIGTERM in that step."""
    attach = Checkpoint.attach

    def stop_at(step: int) -> None:
        def attached(self: Checkpoint, engine: Engine) -> None:
            attach(self, engine)
            engine.add_event_handler(Events.ITERATION_STARTED, send)

        def send(engine: Engine) -> None:
            if engine.state.iteration == step:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Checkpoint, "attach", attached)

    return stop_at


def refusal(call: Callable[[], Any]) -> str:
    """The message of the input error that a call ends with."""
    with pytest.raises(RuntimeError) as caught:
        call()
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    assert cause is not None
    return str(cause)


@pytest.mark.parametrize("name", ["brats_ft", "ms_source"])
def test_a_stopped_training_goes_on_to_the_same_result(
    name: str, train: Callable[..., str], stop_at: Callable[[int], None]
):
    train(name, output_dir="whole")
    stop_at(3)
    with pytest.raises(Stopped) as stopped:
        train(name, resume=True, num_workers=1)  # one command for the first time and the next
    assert stopped.value.code == 143
    assert not Path("out/model.pt").exists()
    status = read_status("out")
    assert status is not None
    assert (status.state, status.reason, status.epoch) == ("stopped", "stopped by SIGTERM", 1)
    stop_at(0)
    train(name, resume=True)
    same = ["model.pt", "history.csv", "metrics.csv", "transfer.json"]
    for file in same:
        assert Path("out", file).read_bytes() == Path("whole", file).read_bytes(), file
    left = ({p.name for p in Path(folder).iterdir()} for folder in ("out", "whole"))
    assert next(left) == next(left)
    assert read_status("out").state == "done"


def test_what_would_lose_another_runs_work_is_refused(
    train: Callable[..., str], stop_at: Callable[[int], None]
):
    stop_at(1)
    with pytest.raises(Stopped):
        train("brats_ft", strategy="head")
    left = Path("out/checkpoint.pt").read_bytes()
    assert "Add --resume True, or choose another" in refusal(lambda: train("brats_ft"))
    message = refusal(lambda: train("brats_ft", resume=True, strategy="decoder"))
    assert message.startswith("options: strategy must be what the run was begun with, head")
    message = refusal(lambda: train("brats_ft", resume=True, strategy="head", cases=1))
    assert message.startswith("options: cases must be what the run was begun with, 2, got 1")
    assert Path("out/checkpoint.pt").read_bytes() == left
    stop_at(0)
    train("brats_ft", resume=True, strategy="head")
    done = Path("out/model.pt").read_bytes()
    for resume in (False, True):
        message = refusal(lambda again=resume: train("brats_ft", resume=again, strategy="head"))
        assert "output_dir out: it must hold no run that is done" in message
    assert Path("out/model.pt").read_bytes() == done


def test_a_run_to_go_on_with_must_be_named(room: Any, run: Callable[..., str]):
    options = room.training("brats_ft") | {"resume": True}
    message = refusal(lambda: run(room.bundle("brats_ft") / "train.json", **options))
    assert message.startswith("options: resume must come with --output_dir")


def test_an_output_folder_that_is_a_file_is_refused_before_anything_is_read(
    train: Callable[..., str],
):
    Path("taken").write_text("a file")
    message = refusal(lambda: train("brats_ft", output_dir="taken/run", dataset_dir="nowhere"))
    assert message.startswith("output_dir taken/run: it must be a folder, got the file taken")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    train: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everywhere
    message = refusal(lambda: train("brats_ft", dataset_dir="nowhere"))
    assert message.startswith("output_dir out: it must be writable")


def test_weights_that_diverge_are_never_published(
    train: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    forward = torch.nn.functional.cross_entropy
    calls = []

    def diverging(*args: Any, **more: Any) -> torch.Tensor:
        calls.append(1)
        return forward(*args, **more) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", diverging)
    message = refusal(lambda: train("brats_ft"))
    assert message.startswith("training, epoch 2, step 3: loss must stay finite, got nan.")
    assert len(calls) == 3
    assert not Path("out/model.pt").exists()
    status = read_status("out")
    assert status is not None
    assert (status.state, status.epoch, status.reason) == ("failed", 1, "loss must stay finite")
    assert Session.current is None


def test_the_status_of_a_run_that_is_done(finished: Any):
    content = json.loads((finished.folder / "status.json").read_text())
    assert set(content) == {"state", "epoch", "epochs", "reason", "updated"}
    assert (content["state"], content["epoch"], content["epochs"]) == ("done", 1, 1)
