"""What watches a training: progress and history."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from monai_transfer._files import written_aside
from monai_transfer._terminal import console, progress_bar
from monai_transfer.training.best import is_best
from monai_transfer.training.losses import loss_of
from monai_transfer.training.session import without_alarm

_QUIET_S = 30.0
"""A log without a bar is silent for no longer, but for an epoch that takes longer."""


def follow(
    engine: Engine,
    start: Callable[[Engine], None],
    *,
    each: Callable[[Engine], None],
    finish: Callable[[Engine], None],
) -> None:
    """Call what collects subjects, on the first process alone, which sees all of them.

    Args:
        engine: an evaluator.
        start: before the first batch.
        each: after every batch.
        finish: after the last one.
    """
    if idist.get_rank() == 0:
        engine.add_event_handler(Events.STARTED, start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, each)
        engine.add_event_handler(Events.COMPLETED, finish)


class EngineProgress:
    """A progress bar over all iterations of an engine, with the time left.

    Args:
        description: what is going on.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar = progress_bar()

    def attach(self, engine: Engine) -> None:
        """Show the bar while the engine runs, and take it away even when it fails."""
        without_alarm(engine)
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
            engine.add_event_handler(Events.COMPLETED, self._stop)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def describe(self, engine: Engine) -> str:
        """What stands before the bar."""
        del engine
        return self.description

    def _start(self, engine: Engine) -> None:
        epochs = 1 if isinstance(engine, Evaluator) else engine.state.max_epochs or 1
        steps = epochs * (engine.state.epoch_length or 0)
        for earlier in self.bar.task_ids:
            self.bar.remove_task(earlier)
        self.task = self.bar.add_task(self.description, total=steps or None)
        self.bar.start()

    def _advance(self, engine: Engine) -> None:
        done, description = engine.state.iteration, self.describe(engine)
        self.bar.update(self.task, completed=done, description=description)

    def _stop(self, engine: Engine) -> None:
        del engine
        self.bar.stop()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._stop(engine)
        raise error


class TrainingProgress(EngineProgress):
    """The bar of a training, and a line with the epoch's mean loss for each validation.

    Where there is no terminal to draw a bar on, the end of an epoch is a line, at most one in 30 s.

    Args:
        validator: its metrics are shown after each validation.
    """

    def __init__(self, validator: Engine) -> None:
        super().__init__("training")
        self.validator = validator
        self._told_s = 0.0
        self._losses: list[float] = []  # of the epoch's steps so far

    def attach(self, engine: Engine) -> None:
        """Attach the bar to the trainer and the lines to the validator."""
        super().attach(engine)
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._losses.clear())
            engine.add_event_handler(
                Events.ITERATION_COMPLETED, lambda engine: self._losses.append(loss_of(engine))
            )
            self.validator.add_event_handler(Events.COMPLETED, self._report, engine)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._tell)

    def describe(self, engine: Engine) -> str:
        """Epoch and loss of the last step."""
        return f"epoch {engine.state.epoch}/{engine.state.max_epochs} loss {loss_of(engine):.4f}"

    def _start(self, engine: Engine) -> None:
        super()._start(engine)
        self._told_s = time.monotonic()

    def _tell(self, engine: Engine) -> None:
        if not console.is_terminal and time.monotonic() - self._told_s >= _QUIET_S:
            self._say(self._line(engine))

    def _report(self, validator: Engine, trainer: Engine) -> None:
        metrics = ", ".join(f"{k} {v:.4f}" for k, v in validator.state.metrics.items())
        best = is_best(validator)
        self._say(f"{self._line(trainer)}, {metrics}{'  (best so far)' if best else ''}")

    def _line(self, trainer: Engine) -> str:
        losses = self._losses or [loss_of(trainer)]
        return f"epoch {trainer.state.epoch:>3}: loss {sum(losses) / len(losses):.4f}"

    def _say(self, line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._told_s = time.monotonic()


class History:
    """Loss and validation metrics of each epoch, kept as a CSV file that is always whole.

    Args:
        path: the file; columns ``epoch``, ``loss`` (mean over the epoch's steps), the metrics'
            names (empty for an epoch without validation).
        validator: whose metrics are recorded, whether it runs before or after this handler.
    """

    def __init__(self, path: str | Path, validator: Engine) -> None:
        self.path, self.validator = Path(path), validator
        self.rows: dict[int, dict[str, float]] = {}
        self._losses: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Record every epoch of the trainer."""
        if idist.get_rank() != 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._record)
        self.validator.add_event_handler(Events.COMPLETED, self._validated)

    def frame(self) -> pd.DataFrame:
        """The table so far."""
        return pd.DataFrame(list(self.rows.values()))

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the rows, and the losses of the epoch that is on."""
        return {"rows": [dict(row) for row in self.rows.values()], "losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = {int(row["epoch"]): dict(row) for row in state["rows"]}
        self._losses = list(state["losses"])

    def _begin(self, engine: Engine) -> None:
        if engine.state.iteration % (engine.state.epoch_length or 1) == 0:
            self._losses = []  # else the epoch goes on

    def _collect(self, engine: Engine) -> None:
        self._losses.append(loss_of(engine))

    def _record(self, engine: Engine) -> None:
        self._update(engine.state.epoch, {"loss": sum(self._losses) / len(self._losses)})

    def _validated(self, validator: Engine) -> None:
        self._update(validator.state.epoch, validator.state.metrics)  # MONAI: the trainer's epoch

    def _update(self, epoch: int, values: Mapping[str, float]) -> None:
        row = self.rows.setdefault(epoch, {"epoch": epoch, "loss": math.nan})
        row.update({name: float(value) for name, value in values.items()})
        with written_aside(self.path) as aside:
            self.frame().to_csv(aside, index=False)
