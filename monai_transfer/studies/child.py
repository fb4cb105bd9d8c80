"""A process that does not outlive the one that waits for it."""

import subprocess
from collections.abc import Sequence
from types import FrameType

from monai_transfer._signals import handled_by
from monai_transfer.training import Stopped


def run_child(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; Ctrl-C and SIGTERM end it first, and then the caller.

    A terminal's Ctrl-C does not reach the child itself, so that it is asked once: a training then
    saves the step it is in. Asked a second time, it ends at once.

    Args:
        command: arguments, the first the program.

    Returns:
        Status and what was printed.

    Raises:
        Stopped: a signal came; the child has ended.
    """
    asked: list[int] = []
    child: subprocess.Popen[str] | None = None

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        asked.append(signum)
        if child is not None:
            child.terminate()

    pipe = subprocess.PIPE
    with handled_by(ask):
        child = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        if asked:  # while it was begun
            child.terminate()
        with child:
            out, err = child.communicate()
    if asked:
        raise Stopped(asked[0])
    return subprocess.CompletedProcess(list(command), child.returncode, out, err)
