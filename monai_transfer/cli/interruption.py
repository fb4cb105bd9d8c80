"""Commands that end in order when a signal asks."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Interrupted(KeyboardInterrupt):
    """A signal ended a command.

    Args:
        signum: its number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.status = 128 + signum


@contextmanager
def signals_raised() -> Iterator[None]:
    """SIGTERM unwinds a command as Ctrl-C does, so that no process and no file is left behind.

    Raises:
        Interrupted: in place of what the signal would have done.
    """
    if threading.current_thread() is not threading.main_thread():  # cannot set handlers
        yield
        return
    before = {s: signal.signal(s, _raise) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise Interrupted(signum)
