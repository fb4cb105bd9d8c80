"""What watches a training: progress, history, and the best weights so far."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ignite.engine import Engine, Events
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

console = Console()
"""Where every run prints, so that progress and tables do not tear each other."""


def save_atomically(content: Any, path: Path) -> None:
    """``torch.save`` aside, flushed to disk and renamed, so that `path` is never half-written.

    Args:
        content: anything ``torch.save`` takes.
        path: the file; its folder must exist.
    """
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)


class TrainingProgress:
    """A progress bar over the whole training, with time left and a line per validation.

    Args:
        validator: its key metric is shown after each validation; ``None`` shows the loss alone.
    """

    def __init__(self, validator: Engine | None = None) -> None:
        self.validator = validator
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )

    def attach(self, engine: Engine) -> None:
        """Show the bar while the engine runs, and take it away even when it fails."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED, self._stop)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)
        if self.validator is not None:
            self.validator.add_event_handler(Events.COMPLETED, self._report, engine)

    def _start(self, engine: Engine) -> None:
        steps = engine.state.max_epochs * engine.state.epoch_length
        self.task = self.bar.add_task("training", total=steps, completed=engine.state.iteration)
        self.bar.start()

    def _advance(self, engine: Engine) -> None:
        loss = _loss(engine)
        epoch = f"epoch {engine.state.epoch}/{engine.state.max_epochs}"
        description = f"{epoch} loss {loss:.4f}"
        self.bar.update(self.task, completed=engine.state.iteration, description=description)

    def _report(self, validator: Engine, trainer: Engine) -> None:
        metrics = ", ".join(f"{k} {v:.4f}" for k, v in validator.state.metrics.items())
        best = validator.state.best_metric_epoch == validator.state.epoch
        console.print(
            f"epoch {trainer.state.epoch:>3}: loss {_loss(trainer):.4f}, {metrics}"
            f"{'  (best so far)' if best else ''}",
            highlight=False,
        )

    def _stop(self, engine: Engine) -> None:
        del engine
        self.bar.stop()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        del engine
        self.bar.stop()
        raise error


class History:
    """Loss and validation metrics of each epoch, kept as a CSV file that is always whole.

    Args:
        path: the file; columns ``epoch``, ``loss`` (mean over the epoch), the metrics' names
            (empty for an epoch without validation).
        validator: whose metrics are recorded.
    """

    def __init__(self, path: str | Path, validator: Engine) -> None:
        self.path, self.validator = Path(path), validator
        self.rows: list[dict[str, float]] = []

    def attach(self, engine: Engine) -> None:
        """Record every epoch of the trainer, after its validation."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._record)
        self.validator.add_event_handler(Events.COMPLETED, self._validated)

    def frame(self) -> pd.DataFrame:
        """The table so far."""
        return pd.DataFrame(self.rows)

    def _begin(self, engine: Engine) -> None:
        del engine
        self._losses: list[float] = []
        self._metrics: dict[str, float] = {}

    def _collect(self, engine: Engine) -> None:
        self._losses.append(_loss(engine))

    def _validated(self, validator: Engine) -> None:
        self._metrics = dict(validator.state.metrics)

    def _record(self, engine: Engine) -> None:
        mean = sum(self._losses) / len(self._losses)
        self.rows.append({"epoch": engine.state.epoch, "loss": mean, **self._metrics})
        aside = self.path.with_name(f".{self.path.name}")
        self.frame().to_csv(aside, index=False)
        aside.replace(self.path)


class BestWeights:
    """Keep the network's weights at the validation's best key metric.

    Args:
        network: whose state dict is saved.
        path: the file, a plain state dict.

    Attach it to the validator.
    """

    def __init__(self, network: nn.Module, path: str | Path) -> None:
        self.network, self.path = network, Path(path)

    def attach(self, engine: Engine) -> None:
        """Save after each validation that is the best so far."""
        engine.add_event_handler(Events.COMPLETED, self._keep)

    def _keep(self, engine: Engine) -> None:
        if engine.state.best_metric_epoch == engine.state.epoch:
            network = getattr(self.network, "module", self.network)  # below DDP
            save_atomically(network.state_dict(), self.path)


def _loss(engine: Engine) -> float:
    output = engine.state.output
    first = output[0] if isinstance(output, list) else output
    return float(first["loss"])
