"""A run's hold on its folder: one at a time, its status told, its end in order."""

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import ignite.distributed as idist
from ignite.engine import Engine

from monai_transfer._files import remove_orphans
from monai_transfer._lock import FolderLock
from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.training.commands import own_command
from monai_transfer.training.status import Status, read_status, reason_of, state_of

CHECKPOINT = "checkpoint.pt"
"""Name of the file in an unfinished run's folder that it goes on from."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(SystemExit):
    """A signal ended the run; the program's status is 128 and the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signal = signal.Signals(signum).name


def without_alarm(engine: Engine) -> None:
    """Keep an engine from logging a stop as the error that ignite takes it for."""
    engine.logger.addFilter(_is_no_stop)


def _is_no_stop(record: logging.LogRecord) -> bool:
    del record
    return not isinstance(sys.exc_info()[1], Stopped)


class Session:
    """From a run's beginning to its end; a process has one at a time.

    While it lasts, SIGTERM and Ctrl-C end the run with a line that says how to go on. Of several
    processes the first alone locks and writes.

    Args:
        folder: the run's.
    """

    current: ClassVar["Session | None"] = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = Status("running")
        self.asked: int | None = None
        self.told: Callable[[str], None] | None = None  # what else is told how the run ended
        self._deferring = False
        self._process = os.getpid()
        self._lock = FolderLock(folder)
        self._handlers: dict[int, Any] = {}

    def begin(self, *, resume: bool = False) -> None:
        """Lock the folder, clear it of what killed writers left, and say that the run is on.

        Args:
            resume: go on with the unfinished run in the folder; where there is none, begin.

        Raises:
            InputError: another run is in the folder, or one that this would overwrite; or the
                folder cannot be written.
        """
        if Session.current is not None:  # of this process, which can have failed without telling
            Session.current.end("failed", "another run of its process took its place")
        if idist.get_rank() == 0:
            self._occupy(resume=resume)
        Session.current = self
        with suppress(ValueError):  # not in the main thread: no signals there
            self._handlers = {s: signal.signal(s, self._on_signal) for s in _SIGNALS}
        atexit.register(self._abandon)

    def progress(self, epoch: int, epochs: int) -> None:
        """Say how many epochs of how many are complete."""
        self._write(Status("running", epoch, epochs))

    def end(self, state: str, reason: str | None = None) -> None:
        """Say how the run ended, and give the folder back; the first end counts.

        Args:
            state: ``done``, which also removes the checkpoint, ``stopped``, ``failed`` or
                ``collapsed``.
            reason: why it is not done.

        Raises:
            OSError: ``done`` cannot be written; the run is not at its end.
        """
        if Session.current is not self:
            return
        status = Status(state, self.status.epoch, self.status.epochs, reason)
        if state == "done":
            self._write(status)
            (self.folder / CHECKPOINT).unlink(missing_ok=True)
        else:
            with suppress(OSError):  # of a full disk it cannot be told on that disk
                self._write(status)
            if self.told is not None:
                self.told(state)
        Session.current = None
        atexit.unregister(self._abandon)
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._lock.release()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it signals wait, for the end or for :meth:`stop`; an error ends the run."""
        self._deferring = True
        try:
            yield
        except Stopped:
            raise
        except BaseException as error:
            self.end(state_of(error), reason_of(error))
            raise
        finally:
            self._deferring = False
        if self.asked is not None and Session.current is self:
            self.stop()

    def is_asked(self) -> bool:
        """Whether a signal waits; in a distributed run all processes are told the same."""
        asked = self.asked is not None
        if idist.get_world_size() > 1:
            asked = bool(idist.all_reduce(int(asked), "MAX"))
        return asked

    def stop(self, signum: int | None = None) -> None:
        """End the run as a signal asks.

        Raises:
            Stopped: always.
        """
        stopped = Stopped(signum or self.asked or signal.SIGTERM)
        if Session.current is self:
            self.end("stopped", f"stopped by {stopped.signal}")
            if idist.get_rank() == 0:
                self._announce_stop(stopped.signal)
        raise stopped

    def _announce_stop(self, signal_name: str) -> None:
        resume = (self.folder / CHECKPOINT).exists()
        epochs = f" after epoch {self.status.epoch} of {self.status.epochs}" * resume
        how = "To go on" if resume else "Nothing is kept. To begin again"
        said = f"Stopped by {signal_name}{epochs}. {how}: {own_command(self.folder, resume=resume)}"
        console.print(said, highlight=False, markup=False, soft_wrap=True)

    def _occupy(self, *, resume: bool) -> None:
        where = f"output_dir {self.folder}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = self._lock.acquire()
        except OSError as error:
            raise InputError(where, "it", "be writable", got=error.strerror) from error
        if free is False:
            todo = "Wait for its end, or choose another --output_dir."
            raise InputError(where, "it", "be no other run's", got="one that is running", todo=todo)
        if free is None:
            console.print("There are no locks on this file system: run once into each folder.")
        try:
            require_usable(self.folder, resume=resume)
            remove_orphans(self.folder)
            if resume:
                self._announce_resume()
            self._write(self.status)
        except BaseException:
            self._lock.release()
            raise

    def _announce_resume(self) -> None:
        before = read_status(self.folder)
        if before is not None and before.state == "running":
            console.print(
                f"The run before was killed after epoch {before.epoch}: it ended without a word. "
                "Should it be alive on another machine, end one of the two."
            )
        if not (self.folder / CHECKPOINT).exists():
            console.print("There is no checkpoint to go on from: the run begins.")

    def _write(self, status: Status) -> None:
        self.status = status
        if idist.get_rank() == 0:
            status.write(self.folder)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._process:
            return  # a loader's process: its parent decides
        if self._deferring and self.asked is None:
            self.asked = signum
        else:
            self.stop(signum)

    def _abandon(self) -> None:
        if os.getpid() == self._process:
            error = getattr(sys, "last_value", None)
            self.end("failed", "ended early" if error is None else reason_of(error))


def require_usable(folder: str | os.PathLike[str], *, resume: bool = False) -> None:
    """Refuse a folder that a run cannot use, or in which it would overwrite another.

    Args:
        folder: of the run; need not exist.
        resume: whether to go on with the run that is there.

    Raises:
        InputError: it cannot be written; it holds a run that is done; or, unless `resume`, one
            that can be gone on with.
    """
    path = Path(folder)
    where = f"output_dir {path}"
    nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        raise InputError(where, "it", "be a folder", got=f"the file {nearest.name}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(where, "it", "be writable", todo="Choose another --output_dir.")
    status = read_status(path)
    if status is not None and status.state == "done":
        todo = "Choose another --output_dir."
        raise InputError(where, "it", "hold no run that is done", todo=todo)
    if not resume and (path / CHECKPOINT).exists():
        rule, todo = "hold no unfinished run", "Add --resume True, or choose another --output_dir."
        raise InputError(where, "it", rule, todo=todo)
