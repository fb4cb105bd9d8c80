"""What a run says of itself in ``status.json``."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError

STATUS = "status.json"
"""Its name in a run's folder."""

STATES = ("running", "stopped", "failed", "collapsed", "done")


class CollapseError(InputError):
    """A training ended itself, for it was no longer one: what came of it is known."""


@dataclass(frozen=True)
class Status:
    """State of a run; no path, host or user in it.

    Args:
        state: ``running``, ``stopped`` (by a signal), ``failed``, ``collapsed`` (see
            :class:`CollapseError`) or ``done``. A run that was killed outright can say nothing: it
            still reads ``running``, with an old date.
        epoch: the last complete one.
        epochs: how many there will be; 0 before that is known, and for an evaluation.
        reason: why it stopped, failed or collapsed.
    """

    state: str
    epoch: int = 0
    epochs: int = 0
    reason: str | None = None

    def write(self, folder: Path) -> None:
        """Write the file, aside and renamed, with the date (UTC)."""
        updated = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with written_aside(folder / STATUS) as aside:
            aside.write_text(json.dumps({**asdict(self), "updated": updated}, indent=2), "utf-8")


def read_status(folder: str | os.PathLike[str]) -> Status | None:
    """The status of a run; ``None`` where there is none.

    Raises:
        InputError: a file that does not hold one.
    """
    try:
        content = json.loads((Path(folder) / STATUS).read_text("utf-8"))
        status = Status(*(content[key] for key in ("state", "epoch", "epochs", "reason")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(STATUS, "it", "hold a run's status", got=type(error).__name__) from error
    if status.state not in STATES:
        raise InputError(STATUS, "state", f"be one of {', '.join(STATES)}", got=status.state)
    return status


def state_of(error: BaseException) -> str:
    """What an error that ends a run makes of it: ``collapsed`` or ``failed``.

    Example:
        >>> (
        ...     state_of(CollapseError("training", "output", "depend on the image")),
        ...     state_of(OSError()),
        ... )
        ('collapsed', 'failed')
    """
    return "collapsed" if any(isinstance(e, CollapseError) for e in _causes(error)) else "failed"


def reason_of(error: BaseException) -> str:
    """Why a run failed, in words that name no file, host or user.

    Of an :class:`~monai_transfer.errors.InputError` anywhere among the causes it is the rule that
    was broken, of a system's error its text, of any other its kind.

    Example:
        >>> reason_of(OSError(28, "No space left on device", "/home/ada/run/model.pt"))
        'OSError: No space left on device'
    """
    for cause in _causes(error):
        if isinstance(cause, InputError):
            return f"{cause.what} must {cause.rule}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(cause).__name__}: {cause.strerror}"
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made of."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
