"""Event files for TensorBoard that can be shared.

TensorBoard's own writer puts the name of the machine into the name of the file.
"""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventLog:
    """What MONAI's TensorBoard handlers write scalars to, as ``summary_writer``.

    Of several processes the first alone writes.

    Args:
        folder: made with the first scalar; files are numbered, ``events.out.tfevents.0001``, one
            for each time the run was begun or gone on with.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._path: Path | None = None
        self._records = io.BytesIO()
        self._steps = 0  # the highest step written
        self._first: int | None = None

    def add_scalar(self, tag: str, value: float, global_step: int) -> None:
        """Log one number, shown under `tag` at `global_step`; it is written by :meth:`flush`."""
        self._steps = max(self._steps, global_step)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=float(value))])
        self._add(step=global_step, summary=summary)

    def flush(self) -> None:
        """Append what was logged to the file."""
        if idist.get_rank() == 0:
            if self._path is None:
                self._begin()
            assert self._path is not None
            with self._path.open("ab") as file:
                file.write(self._records.getvalue())
        self._records = io.BytesIO()

    def state_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return {"steps": self._steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a checkpoint, in a new file: TensorBoard drops the steps after it."""
        self._path, self._steps = None, state["steps"]
        self._first = self._steps + 1

    def _add(self, **content: Any) -> None:
        event = Event(wall_time=time.time(), **content)
        RecordWriter(self._records).write(event.SerializeToString())

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + len(list(self.folder.glob("events.out.tfevents.*")))
        self._path = self.folder / f"events.out.tfevents.{number:04d}"
        logged, self._records = self._records.getvalue(), io.BytesIO()
        self._add(file_version="brain.Event:2")
        if self._first is not None:
            self._add(step=self._first, session_log=SessionLog(status=SessionLog.START))
        self._records.write(logged)
