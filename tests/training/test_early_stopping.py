import pytest
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.engines import SupervisedEvaluator
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import EarlyStopping, console


class Scripted(Metric):
    """Gives the scores of a list, one for each validation."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = iter(scores)
        super().__init__(output_transform=lambda _output: (0, 0))

    def reset(self) -> None: ...

    def update(self, output: object) -> None: ...

    def compute(self) -> float:
        return next(self.scores)


def run(scores: list[float], patience: int | None, *, state: dict | None = None) -> Engine:
    """A trainer of ten epochs that is validated after each."""
    validator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=[{"image": 0, "label": 0}],
        network=nn.Identity(),
        prepare_batch=lambda batch, *_args, **_kwargs: (batch["image"], batch["label"]),
        inferer=lambda image, _network: image,
        key_val_metric={"score": Scripted(scores)},
        decollate=False,
    )
    trainer = Engine(lambda _engine, _batch: None)
    trainer.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: validator.run(engine.state.epoch)
    )
    stopping = EarlyStopping(validator, patience)
    stopping.attach(trainer)
    if state is not None:
        stopping.load_state_dict(state)
        # as BestWeights does: of the epochs before
        validator.state.best_metric, validator.state.best_metric_epoch = 1.0, 0
    trainer.add_event_handler(Events.COMPLETED, lambda engine: setattr(engine, "ended", True))
    with console.capture() as said:
        trainer.run([0], max_epochs=10)
    trainer.said, trainer.stopping = said.get(), stopping
    return trainer


def test_a_training_ends_when_it_has_not_got_better_for_so_many_validations():
    trainer = run([0.1, 0.3, 0.2, 0.3, 0.1, *[0.9] * 5], 3)
    assert trainer.state.epoch == 5  # the best is the second; equal is not better
    assert trainer.ended
    assert "ends early: 3 validations without a better one" in trainer.said


def test_a_better_score_begins_the_count_again():
    assert run([0.1, 0.0, 0.2, 0.1, 0.3, 0.2, 0.4, 0.1, 0.5, 0.1], 2).state.epoch == 10


def test_without_patience_it_goes_on_to_the_end():
    trainer = run([0.5, *[0.1] * 9], None)
    assert (trainer.state.epoch, trainer.said) == (10, "")


def test_of_several_processes_the_first_decides(monkeypatch: pytest.MonkeyPatch):
    """Here it is the second, whose own scores never stop getting better."""
    firsts = iter([0, 0, 0, 1, 1, 2])  # asked at the begin and at the end of each epoch
    monkeypatch.setattr(
        "monai_transfer.training.early_stopping.idist.broadcast", lambda _mine, src: next(firsts)
    )
    assert run([0.1 * n for n in range(10)], 2).state.epoch == 3


def test_a_count_from_a_checkpoint_goes_on():
    assert run([0.5] * 10, 5, state={"without_better": 3}).state.epoch == 2


def test_a_run_that_was_interrupted_at_its_end_trains_no_further_epoch():
    trainer = run([0.5] * 10, 2, state={"without_better": 2})
    assert trainer.state.iteration == 0
    assert trainer.stopping.state_dict() == {"without_better": 2}


def test_a_patience_of_none_at_all_is_refused():
    with pytest.raises(InputError, match="patience must be at least 1, got 0"):
        run([], 0)
