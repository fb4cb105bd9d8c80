"""What a process does for a while when a signal comes."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], None] | signal.Handlers

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to end: Ctrl-C, and what schedulers send."""


@contextmanager
def handled_by(handler: Handler, signals: Sequence[signal.Signals] = ENDING) -> Iterator[None]:
    """Within it signals go to a handler; other threads than the main one can set none.

    Example:
        >>> with handled_by(signal.SIG_IGN, [signal.SIGINT]):
        ...     signal.raise_signal(signal.SIGINT)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)
