"""A training in an MLflow store: its options, its epochs, its result."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.handlers import MLFlowHandler
from monai.utils import path_to_sqlite_uri

from monai_transfer.metrics import read_csv, summary
from monai_transfer.training.handlers import History
from monai_transfer.training.identity import IMMATERIAL
from monai_transfer.training.provenance import RunRecord

ARTIFACTS: Final = (
    *("metrics.csv", "history.csv", "learning_curve.png", "overlays.png"),
    *("run.json", "transfer.json"),
)
"""Files of a run that the store gets a copy of, those that are there; no weights."""


class MLflowTracking:
    """Follow a training in MLflow: options as parameters, loss and validation of every epoch.

    At the end of the run come the test's means and copies of its tables and pictures. A run that is
    gone on with after an interruption goes on in the store too. One that failed is FAILED there,
    one that a signal ended KILLED.

    Args:
        record: of the run; its folder's name is the run's name in the store.
        history: of the training; attached to the trainer before this handler.
        experiment: what the store groups runs by, such as the bundle's name.
        uri: of the store; ``None``: a file ``mlruns.db`` beside the run's folder, which itself
            stays free of what MLflow writes down of the machine. The environment variable
            ``MLFLOW_TRACKING_URI`` goes first.
        name: of the run in the store; ``None``: the folder's.
    """

    def __init__(
        self,
        record: RunRecord,
        history: History,
        *,
        experiment: str,
        uri: str | None = None,
        name: str | None = None,
    ) -> None:
        self.record, self.history = record, history
        folder = record.output_dir
        self._settings: dict[str, Any] = {
            "tracking_uri": uri or path_to_sqlite_uri(folder.absolute().parent / "mlruns.db"),
            "experiment_name": experiment,
            "run_name": name or folder.absolute().name,
            "experiment_param": options(record.config),
        }
        self._handler: Any = None

    def attach(self, engine: Engine) -> None:
        """Open the store when the trainer starts; log after each of its epochs."""
        if idist.get_rank() != 0:
            return
        self._handler = MLFlowHandler(
            **self._settings, iteration_log=False, epoch_logger=self._log_epoch
        )
        self._handler.attach(engine)
        engine.add_event_handler(Events.STARTED, self._running)
        self.record.tracking, self.record.session.told = self, self._ended

    def conclude(self) -> None:
        """Log the result of the run, from the files in its folder, and close it in the store."""
        client, run = self._handler.client, self._handler.cur_run.info.run_id
        folder = self.record.output_dir
        if (folder / "metrics.csv").is_file():
            for name, mean in result_means(folder / "metrics.csv").items():
                client.log_metric(run, name, mean)
        for path in (folder / name for name in ARTIFACTS):
            if path.is_file():
                client.log_artifact(run, str(path))
        self._handler.close()

    def _running(self) -> None:
        """A run that is gone on with may have been called failed."""
        self._handler.client.update_run(self._handler.cur_run.info.run_id, status="RUNNING")

    def _ended(self, state: str) -> None:
        self._handler.run_finish_status = "KILLED" if state == "stopped" else "FAILED"
        with suppress(Exception):  # the store itself may be what failed
            self._handler.close()

    def _log_epoch(self, engine: Engine) -> None:
        epoch, run = engine.state.epoch, self._handler.cur_run.info.run_id
        for name, value in self.history.rows[epoch].items():
            if name != "epoch" and math.isfinite(value):
                self._handler.client.log_metric(run, name, value, step=epoch)


def options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The plain options of a config that a result depends on.

    Not its expressions, components and lists of steps; nor the options that a run may be gone on
    with other values of, since a store takes each only once.

    Example:
        >>> options(
        ...     {
        ...         "seed": 0,
        ...         "sizes": [8, 8],
        ...         "net": {"_target_": "N"},
        ...         "resume": True,
        ...         "cases": None,
        ...     }
        ... )
        {'seed': 0, 'sizes': [8, 8], 'cases': None}
    """
    return {
        key: value
        for key, value in config.items()
        if key not in IMMATERIAL
        and not isinstance(value, Mapping)
        and not any(str(v).startswith(("$", "@")) for v in _items(value))
    }


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def result_means(path: Path) -> dict[str, float]:
    """Mean over subjects of every defined score of a test, as ``test_<metric>_<region>``."""
    rows = summary(read_csv(path)).to_dict("records")
    means = {f"test_{row['metric']}_{row['region']}": float(row["mean"]) for row in rows}
    return {name: mean for name, mean in means.items() if math.isfinite(mean)}
