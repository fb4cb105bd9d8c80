"""Work shared out to processes that fail one by one, and never outlive who started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from monai_transfer._signals import handled_by

Job = TypeVar("Job")
Result = TypeVar("Result")


_UNGUARDED = (
    "No process can begin. A script that shares work out to processes is imported by each of them: "
    "what it does belongs under `if __name__ == '__main__':`."
)


class DiedError(RuntimeError):
    """A process ended in the middle of its job, most often for want of memory."""


class Shared(Generic[Job, Result]):
    """Runs one function on many jobs.

    Args:
        function: at the top level of a module; what it returns is sent back.
        workers: processes; 1 stays in this one. More need an importable main module, as every
            spawned process does.
    """

    def __init__(self, function: Callable[[Job], Result], *, workers: int) -> None:
        self.function, self.workers = function, workers

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | DiedError]]:
        """Each job with its result, in the order in which they end.

        When a process dies, nobody can tell at whose job: those that were under way are done again,
        each in a process of its own, and :class:`DiedError` stands for the result of one that kills
        that too.

        Raises:
            Exception: what the function raises; catch in the function what is to stop no other.
            RuntimeError: no process can begin.
        """
        if self.workers == 1 or len(jobs) < 2:
            for job in jobs:
                yield job, self.function(job)
            return
        waiting = list(jobs)
        while waiting:
            suspects: list[Job] = []
            yield from self._pooled(waiting, suspects)
            for job in suspects:
                yield job, self._alone(job)

    def _pooled(self, waiting: list[Job], suspects: list[Job]) -> Iterator[tuple[Job, Result]]:
        """Take jobs from `waiting` until there are none; if a process dies, name the suspects."""
        running: dict[Future[Result], Job] = {}
        with _pool(min(self.workers, len(waiting))) as pool:
            while waiting or running:
                try:
                    while waiting and len(running) < self.workers:  # what waits in a pool is lost
                        with _uninterrupted():  # the first ones start the processes
                            future = pool.submit(self.function, waiting[0])
                        running[future] = waiting.pop(0)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
                except BrokenProcessPool:
                    suspects += running.values()
                    return

    def _alone(self, job: Job) -> Result | DiedError:
        with _pool(1) as pool:
            try:
                with _uninterrupted():
                    began = pool.submit(os.getpid)
                began.result()
            except BrokenProcessPool as error:
                raise RuntimeError(_UNGUARDED) from error
            try:
                return pool.submit(self.function, job).result()
            except BrokenProcessPool:
                return DiedError("the process ended, most often for want of memory")


def _pool(workers: int) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_die_with_parent)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for jobs for ever, or go on writing."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in workers only"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _uninterrupted() -> AbstractContextManager[None]:
    """Processes begun inside never see Ctrl-C: they finish the job they are at."""
    return handled_by(signal.SIG_IGN, [signal.SIGINT])
