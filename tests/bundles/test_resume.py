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


@pytest.fixture
def refused(refusal: Callable[..., str]) -> Callable[..., str]:
    """The message of the input error that a call ends with."""

    def refused(call: Callable[[], Any]) -> str:
        with pytest.raises(RuntimeError) as caught:
            call()
        return refusal(caught.value)

    return refused


def test_a_stopped_training_goes_on_to_the_same_result(
    name: str, train: Callable[..., str], room: Any, stop_at: Callable[[int], None]
):
    train(name, output_dir="whole")
    stop_at(room.steps(name) + 1)  # the second epoch's first, of several
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


def test_one_that_ends_early_on_kept_layers_goes_on_to_the_same_early_end(
    train: Callable[..., str], room: Any, stop_at: Callable[[int], None]
):
    options = {"epochs": 9, "patience": 2, "learning_rate": 1e-6}
    said = train("wmh_ft", output_dir="whole", **options)
    assert "The training ends early: 2 validations without a better one." in said
    done = len(Path("whole/history.csv").read_text().splitlines()) - 1
    assert 2 < done < 9
    stop_at(room.steps("wmh_ft") * (done - 1) + 1)  # in its last epoch: one of the two is counted
    with pytest.raises(Stopped):
        train("wmh_ft", **options)
    stop_at(0)
    assert "The training ends early: 2 val" in train("wmh_ft", resume=True, **options)
    for file in ("model.pt", "history.csv", "metrics.csv"):
        assert Path("out", file).read_bytes() == Path("whole", file).read_bytes(), file


def test_what_would_lose_another_runs_work_is_refused(
    train: Callable[..., str], stop_at: Callable[[int], None], refused: Callable[..., str]
):
    stop_at(1)
    with pytest.raises(Stopped):
        train("brats_ft", strategy="head")
    left = Path("out/checkpoint.pt").read_bytes()
    assert "Add --resume True, or choose another" in refused(lambda: train("brats_ft"))
    message = refused(lambda: train("brats_ft", resume=True, strategy="decoder"))
    assert message.startswith("options: strategy must be what the run was begun with, head")
    message = refused(lambda: train("brats_ft", resume=True, strategy="head", cases=1))
    assert message.startswith("options: cases must be what the run was begun with, 2, got 1")
    assert Path("out/checkpoint.pt").read_bytes() == left
    stop_at(0)
    train("brats_ft", resume=True, strategy="head")
    done = Path("out/model.pt").read_bytes()
    for resume in (False, True):
        message = refused(lambda again=resume: train("brats_ft", resume=again, strategy="head"))
        assert "output_dir out: it must hold no run that is done" in message
    assert Path("out/model.pt").read_bytes() == done


def test_a_run_to_go_on_with_must_be_named(
    room: Any, run: Callable[..., str], refused: Callable[..., str]
):
    options = room.training("brats_ft") | {"resume": True}
    message = refused(lambda: run(room.bundle("brats_ft") / "train.json", **options))
    assert message.startswith("options: resume must come with --output_dir")


def test_an_output_folder_that_is_a_file_is_refused_before_anything_is_read(
    train: Callable[..., str], refused: Callable[..., str]
):
    Path("taken").write_text("a file")
    message = refused(lambda: train("brats_ft", output_dir="taken/run", dataset_dir="nowhere"))
    assert message.startswith("output_dir taken/run: it must be a folder, got the file taken")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    train: Callable[..., str], monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everywhere
    message = refused(lambda: train("brats_ft", dataset_dir="nowhere"))
    assert message.startswith("output_dir out: it must be writable")


def test_weights_that_diverge_are_never_published(
    train: Callable[..., str], monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
):
    forward = torch.nn.functional.cross_entropy
    calls = []

    def diverging(*args: Any, **more: Any) -> torch.Tensor:
        calls.append(1)
        return forward(*args, **more) * (float("nan") if len(calls) == 3 else 1)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", diverging)
    message = refused(lambda: train("brats_ft"))
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
