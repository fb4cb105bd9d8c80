from types import SimpleNamespace

import ignite.distributed as idist
import numpy as np
import pandas as pd
import pytest
from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler

from monai_transfer.training import EngineProgress, History, TrainingProgress, console, handlers


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


def test_history_goes_on_from_a_checkpoint_within_an_epoch(
    scripted_trainer, scripted_validator, tmp_path
):
    path = tmp_path / "history.csv"
    trainer, validator = scripted_trainer([4.0, 2.0, 1.0]), scripted_validator([0.25])
    history = History(path, validator)
    history.attach(trainer)
    ValidationHandler(1, validator).attach(trainer)
    with pytest.raises(IndexError, match="the script is over"):
        trainer.run(range(2), max_epochs=2)
    second = History(path, scripted_validator([0.5]))
    second.load_state_dict(history.state_dict())
    trainer = scripted_trainer([0.5])
    trainer.load_state_dict({"iteration": 3, "epoch_length": 2, "max_epochs": 2})
    second.attach(trainer)
    ValidationHandler(1, second.validator).attach(trainer)
    trainer.run(range(1), max_epochs=2)
    assert path.read_text().splitlines() == ["epoch,loss,score", "1,3.0,0.25", "2,0.75,0.5"]


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
    validator, trainer = (
        scripted_validator([0.5, 0.25, 0.75]),
        scripted_trainer([3.0, 1.0, 1.5] * 2),
    )
    validator.state.metrics["dice_[core]"] = 0.125  # brackets are no markup
    progress = TrainingProgress(validator)
    ValidationHandler(1, validator).attach(trainer)
    progress.attach(trainer)
    descriptions = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: descriptions.append(progress.bar.tasks[0].description)
    )
    trainer.run(range(2), max_epochs=3)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if "score" in line]
    assert lines == [  # the epoch's mean loss; the bar shows that of its last step
        "epoch   1: loss 2.0000, dice_[core] 0.1250, score 0.5000  (best so far)",
        "epoch   2: loss 2.2500, dice_[core] 0.1250, score 0.2500",
        "epoch   3: loss 1.2500, dice_[core] 0.1250, score 0.7500  (best so far)",
    ]
    assert descriptions[-1] == "epoch 3/3 loss 1.5000"


@pytest.mark.parametrize("terminal", [False, True])
def test_without_a_terminal_an_epoch_is_a_line_at_most_every_30_s(
    terminal, scripted_trainer, scripted_validator, monkeypatch
):
    now_s = 1000.0
    monkeypatch.setattr(handlers, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(console, "_force_terminal", terminal)
    validator, trainer = scripted_validator([0.5]), scripted_trainer([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    ValidationHandler(4, validator).attach(trainer)
    progress = TrainingProgress(validator)
    progress.bar.disable = True
    progress.attach(trainer)

    @trainer.on(Events.ITERATION_COMPLETED)
    def pass_time(_engine):
        nonlocal now_s
        now_s += 20.0

    with console.capture() as printed:
        trainer.run(range(1), max_epochs=6)
    lines = {
        "epoch   2: loss 5.0000": 40,  # s after the start
        "epoch   4: loss 3.0000, score 0.5000  (best so far)": 80,
        "epoch   6: loss 1.0000": 120,
    }
    expected = [line for line in lines if "score" in line or not terminal]
    assert [line for line in printed.get().splitlines() if "epoch" in line] == expected


def test_only_the_first_of_several_processes_writes_and_draws(
    scripted_trainer, scripted_validator, tmp_path, monkeypatch
):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    validator = scripted_validator([0.5])
    trainer, progress = scripted_trainer([1.0]), TrainingProgress(validator)
    progress.attach(trainer)
    History(tmp_path / "history.csv", validator).attach(trainer)
    ValidationHandler(1, validator).attach(trainer)
    with console.capture() as printed:
        trainer.run(range(1), max_epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert progress.bar.tasks == []
    assert printed.get() == ""
