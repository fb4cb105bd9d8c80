"""Event files for TensorBoard that can be shared.

TensorBoard's own writer puts the name of the machine into the name of the file.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventLog:
    """What MONAI's TensorBoard handlers write scalars to, as ``summary_writer``.

    Args:
        folder: made with the first scalar; files are numbered, ``events.out.tfevents.0001``, one
            for each time the run was begun or gone on with.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._records: RecordWriter | None = None
        self._file: Any = None
        self._steps = 0  # the highest step written
        self._first: int | None = None

    def add_scalar(self, tag: str, value: float, global_step: int) -> None:
        """Write one number, shown under `tag` at `global_step`."""
        self._steps = max(self._steps, global_step)
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=float(value))])
        self._write(Event(wall_time=time.time(), step=global_step, summary=summary))

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file; the next scalar opens another."""
        if self._file is not None:
            self._file.close()
            self._file = self._records = None

    def state_dict(self) -> dict[str, int]:
        """For a checkpoint."""
        return {"steps": self._steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from a checkpoint: TensorBoard drops the steps after it."""
        self.close()
        self._steps = state["steps"]
        self._first = self._steps + 1

    def _write(self, event: Event) -> None:
        if self._records is None:
            self._open()
        assert self._records is not None
        self._records.write(event.SerializeToString())

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + len(list(self.folder.glob("events.out.tfevents.*")))
        self._file = (self.folder / f"events.out.tfevents.{number:04d}").open("xb")
        self._records = RecordWriter(self._file)
        now = time.time()
        self._records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        if self._first is not None:
            start = SessionLog(status=SessionLog.START)
            restart = Event(wall_time=now, step=self._first, session_log=start)
            self._records.write(restart.SerializeToString())
