import signal
import threading

import pytest

from monai_transfer._signals import ENDING, handled_by


@pytest.mark.parametrize("signum", ENDING)
def test_signals_go_to_the_handler_inside_and_to_the_one_before_after_it(signum):
    inside: list[int] = []
    before = signal.getsignal(signum)
    with handled_by(lambda number, frame: inside.append(number)):
        signal.raise_signal(signum)
    assert inside == [signum]
    assert signal.getsignal(signum) is before


def test_another_thread_sets_none():
    found = []

    def work() -> None:
        with handled_by(signal.SIG_IGN):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
