"""Commands that end in order when a signal asks."""

from contextlib import AbstractContextManager
from types import FrameType
from typing import NoReturn

from monai_transfer._signals import handled_by


class Interrupted(KeyboardInterrupt):
    """A signal ended a command.

    Args:
        signum: its number.
    """

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.status = 128 + signum


def signals_raised() -> AbstractContextManager[None]:
    """SIGTERM unwinds a command as Ctrl-C does, so that no process and no file is left behind.

    Raises:
        Interrupted: within it, in place of what the signal would have done.
    """
    return handled_by(_raise)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise Interrupted(signum)
