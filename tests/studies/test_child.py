import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from monai_transfer.studies.child import run_child
from monai_transfer.training import Stopped

CHILD = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("saved"))
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


def test_what_a_child_says_and_its_status_come_back():
    code = "import sys; print('out'); sys.exit('err')"
    done = run_child([sys.executable, "-c", code])
    assert (done.returncode, done.stdout, done.stderr) == (1, "out\n", "err\n")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_alone_ends_the_child_first(tmp_path: Path, signum: signal.Signals):
    ready = tmp_path / "ready"

    def send() -> None:
        while not (ready.exists() and ready.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signum)

    before = signal.getsignal(signum)
    threading.Thread(target=send).start()
    started = time.monotonic()
    with pytest.raises(Stopped) as stopped:
        run_child([sys.executable, "-c", CHILD, str(ready)])
    assert stopped.value.code == 128 + signum
    assert time.monotonic() - started < 30  # the child was not waited for to its own end
    assert signal.getsignal(signum) is before
    with pytest.raises(ProcessLookupError):
        os.kill(int(ready.read_text()), 0)
