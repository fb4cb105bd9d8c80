import math

import ignite.distributed as idist
import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import BestWeights, EngineProgress, History, TrainingProgress, console


@pytest.fixture
def network() -> nn.Module:
    return nn.Linear(1, 1)


def train(network: nn.Module, validator: Engine, epochs: int) -> None:
    """Write the epoch into the weights, then validate, as many times as asked."""
    for epoch in range(1, epochs + 1):
        with torch.no_grad():
            network.weight.fill_(epoch)
        validator.run(epoch)


def kept(path) -> float:
    return torch.load(path, weights_only=True)["weight"].item()


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.7, 0.3], 2),
        ([0.5, 0.5, 0.5], 1),
        ([0.1, 0.2, 0.3], 3),
        ([0.0, 0.0], 1),
        ([-0.2, -0.1, -0.3], 2),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(
    scores, best, network, scripted_validator, tmp_path
):
    validator = scripted_validator(scores, BestWeights(network, tmp_path / "model.pt"))
    train(network, validator, len(scores))
    assert kept(tmp_path / "model.pt") == best
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_weights_below_a_wrapper_are_saved_under_their_own_names(
    network, scripted_validator, tmp_path
):
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = network

    validator = scripted_validator([1.0], BestWeights(Wrapper(), tmp_path / "model.pt"))
    validator.run(1)
    assert set(torch.load(tmp_path / "model.pt", weights_only=True)) == {"weight", "bias"}


def test_a_kill_in_the_middle_of_saving_leaves_the_last_best_weights(
    network, scripted_validator, tmp_path, monkeypatch
):
    path = tmp_path / "model.pt"
    validator = scripted_validator([0.1, 0.2, 0.3], BestWeights(network, path))
    train(network, validator, 1)

    def killed(_content, file):
        file.write(b"PK")
        raise SystemExit(137)

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(SystemExit):
        validator.run(2)
    assert kept(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_are_not_finite_are_never_the_best(network, scripted_validator, tmp_path):
    path = tmp_path / "model.pt"
    validator = scripted_validator([0.1, 0.2], BestWeights(network, path))
    train(network, validator, 1)
    with torch.no_grad():
        network.bias.fill_(math.nan)
    with pytest.raises(InputError, match=r"weights must stay finite, got bias\. Lower the"):
        validator.run(2)
    assert kept(path) == 1


def run_with_history(path, trainer, validator, *, first: str, interval: int = 2) -> History:
    history = History(path, validator)
    handlers = [history, ValidationHandler(interval, validator)]
    for handler in handlers if first == "history" else handlers[::-1]:
        handler.attach(trainer)
    trainer.run(range(2), max_epochs=4)
    return history


@pytest.mark.parametrize("first", ["history", "validation"])
def test_history_is_the_mean_loss_and_the_metrics_of_each_epoch(
    first, scripted_trainer, scripted_validator, tmp_path
):
    path = tmp_path / "history.csv"
    trainer = scripted_trainer([4.0, 2.0, 1.0, 3.0, 1.0, 0.0, 0.5, 0.0])
    history = run_with_history(path, trainer, scripted_validator([0.25, 0.75]), first=first)
    assert path.read_text().splitlines() == [
        "epoch,loss,score",
        "1,3.0,",
        "2,2.0,0.25",
        "3,0.5,",
        "4,0.25,0.75",
    ]
    pd.testing.assert_frame_equal(history.frame(), pd.read_csv(path))
    assert list(tmp_path.iterdir()) == [path]


def test_history_so_far_survives_a_training_that_fails(
    scripted_trainer, scripted_validator, tmp_path
):
    path = tmp_path / "history.csv"
    trainer = scripted_trainer([4.0, 2.0, 1.0])  # the fourth step has none
    with pytest.raises(IndexError, match="the script is over"):
        run_with_history(path, trainer, scripted_validator([0.25]), first="validation")
    assert pd.read_csv(path)["loss"].tolist() == [3.0]


def test_a_validation_before_the_first_epoch_has_no_loss(
    scripted_trainer, scripted_validator, tmp_path
):
    validator, trainer = scripted_validator([0.125, 0.25]), scripted_trainer([1.0])
    history = History(tmp_path / "history.csv", validator)
    history.attach(trainer)
    ValidationHandler(1, validator, exec_at_start=True).attach(trainer)
    trainer.run(range(1), max_epochs=1)
    frame = history.frame()
    assert frame["epoch"].tolist() == [0, 1]
    assert frame["score"].tolist() == [0.125, 0.25]
    np.testing.assert_array_equal(frame["loss"], [np.nan, 1.0])


def test_the_bar_counts_every_step_and_goes_away(scripted_trainer):
    progress, trainer = EngineProgress("training"), scripted_trainer([1.0] * 6)
    seen = []
    progress.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def look(_engine):
        assert progress.bar.live.is_started
        (task,) = progress.bar.tasks
        seen.append((task.completed, task.total))

    trainer.run(range(3), max_epochs=2)
    assert seen == [(n, 6) for n in range(1, 7)]
    assert not progress.bar.live.is_started


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_the_bar_stops_when_the_training_raises_and_the_error_comes_through(
    error, scripted_trainer
):
    progress, trainer = EngineProgress("training"), scripted_trainer([1.0])
    progress.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def fail(_engine):
        assert progress.bar.live.is_started
        raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        trainer.run(range(3), max_epochs=2)
    assert not progress.bar.live.is_started


def test_the_training_bar_stops_when_the_validation_raises(scripted_trainer, scripted_validator):
    validator, trainer = scripted_validator([]), scripted_trainer([1.0])  # no score to give
    progress = TrainingProgress(validator)
    ValidationHandler(1, validator).attach(trainer)
    progress.attach(trainer)
    with pytest.raises(IndexError, match="the script is over"):
        trainer.run(range(1), max_epochs=1)
    assert not progress.bar.live.is_started


def test_a_second_run_has_one_bar_of_its_own(scripted_trainer):
    progress = EngineProgress("testing")
    trainer = scripted_trainer([1.0] * 5)
    progress.attach(trainer)
    trainer.run(range(2), max_epochs=1)
    trainer.state.max_epochs = None  # ignite: start anew
    trainer.run(range(3), max_epochs=1)
    (task,) = progress.bar.tasks
    assert (task.completed, task.total) == (3, 3)


def test_an_evaluator_has_one_epoch_whatever_the_trainers(scripted_validator):
    progress = EngineProgress("testing")
    validator = scripted_validator([0.5], progress)
    validator.run(7)
    (task,) = progress.bar.tasks
    assert (task.completed, task.total) == (1, 1)


def test_an_engine_that_does_not_know_its_length_has_an_open_bar():
    progress = EngineProgress("streaming")
    engine = Engine(lambda _engine, _batch: None)
    progress.attach(engine)
    totals = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: totals.append(progress.bar.tasks[0].total)
    )
    engine.run((n for n in range(2)), max_epochs=1)
    assert totals == [None, None]


def test_each_validation_prints_a_line_that_is_not_broken(
    scripted_trainer, scripted_validator, capsys, monkeypatch
):
    monkeypatch.setattr(console, "width", 40)
    validator, trainer = scripted_validator([0.5, 0.25, 0.75]), scripted_trainer([2.0, 1.5, 1.0])
    validator.state.metrics["dice_[core]"] = 0.125  # brackets are no markup
    progress = TrainingProgress(validator)
    ValidationHandler(1, validator).attach(trainer)
    progress.attach(trainer)
    descriptions = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: descriptions.append(progress.bar.tasks[0].description)
    )
    trainer.run(range(1), max_epochs=3)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "score" in line]
    assert lines == [
        "epoch   1: loss 2.0000, dice_[core] 0.1250, score 0.5000  (best so far)",
        "epoch   2: loss 1.5000, dice_[core] 0.1250, score 0.2500",
        "epoch   3: loss 1.0000, dice_[core] 0.1250, score 0.7500  (best so far)",
    ]
    assert descriptions[-1] == "epoch 3/3 loss 1.0000"


def test_only_the_first_of_several_processes_writes_and_draws(
    scripted_trainer, scripted_validator, tmp_path, monkeypatch
):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    validator = scripted_validator([0.5], BestWeights(nn.Linear(1, 1), tmp_path / "model.pt"))
    trainer, progress = scripted_trainer([1.0]), TrainingProgress(validator)
    progress.attach(trainer)
    History(tmp_path / "history.csv", validator).attach(trainer)
    ValidationHandler(1, validator).attach(trainer)
    with console.capture() as printed:
        trainer.run(range(1), max_epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert progress.bar.tasks == []
    assert printed.get() == ""
