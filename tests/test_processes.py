"""Work shared out to processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Spawned processes import what they run, so it lies in a file of its own.
JOBS = """
import os, signal, sys, time

def run(job):
    if job == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "sleeps":
        open(sys.argv[0] + f".{os.getpid()}", "w").close()
        time.sleep(60)
    return job.upper()
"""

MAIN = """
import sys
from jobs import run
from monai_transfer._processes import DiedError, Shared

if __name__ == "__main__":
    found = Shared(run, workers=int(sys.argv[1])).results(sys.argv[2:])
    for job, result in found:
        print(job, type(result).__name__ if isinstance(result, DiedError) else result, flush=True)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path / "main.py"


def command(main: Path, *arguments: object) -> list[str]:
    return [sys.executable, str(main), *map(str, arguments)]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_gets_its_result(main: Path, workers: int):
    done = subprocess.run(
        command(main, workers, *"abcde"), capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split("\n")[:-1]) == ["a A", "b B", "c C", "d D", "e E"]


def test_only_the_job_that_kills_its_process_is_lost(main: Path):
    done = subprocess.run(
        command(main, 2, "a", "dies", "b", "c"), capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split("\n")[:-1]) == ["a A", "b B", "c C", "dies DiedError"]


def test_a_script_that_begins_itself_again_in_every_process_is_told_so(main: Path):
    main.write_text(MAIN.replace('if __name__ == "__main__"', "if True"))
    done = subprocess.run(command(main, 2, "a", "b"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.rstrip().endswith("belongs under `if __name__ == '__main__':`.")


def test_no_process_outlives_who_started_it(main: Path):
    with subprocess.Popen(command(main, 2, "sleeps", "sleeps")) as running:
        started: list[Path] = []
        until = time.monotonic() + 60
        while len(started) < 2 and time.monotonic() < until:
            time.sleep(0.05)
            started = list(main.parent.glob("*.py.[0-9]*")) + list(main.parent.glob("-c.[0-9]*"))
        assert len(started) == 2
        running.send_signal(signal.SIGKILL)
    pids = [int(path.name.rpartition(".")[2]) for path in started]
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
