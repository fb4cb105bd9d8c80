"""Kill trainings outright at random moments, let them go on, and compare with one left alone.

Every run is the command a user types, in a process of its own, on a small simulated cohort; every
second one has two loader processes. A line for each run and a summary; the exit status is 1 when
weights or scores differ in one bit, or a file is left over.

    python tests/benchmarks/bench_kill_and_resume.py [--kills 30] [--runs 6] [--epochs 16]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from monai_transfer.bundle import bundles_dir
from monai_transfer.data import build_datalist, manifest_path, read_manifest, write_datalist
from monai_transfer.simulation import simulate_cohort
from monai_transfer.training import read_status

SPACING_MM = 6.0
COMPARED = ("model.pt", "history.csv", "metrics.csv")


def cohort(folder: Path) -> Path:
    """A simulated cohort of eight, and its datalist."""
    simulate_cohort("brats", folder, subjects=8, spacing_mm=SPACING_MM, progress=False)
    described = read_manifest(manifest_path("simulated_brats"))
    write_datalist(build_datalist(described, folder, validation=1, test=1), folder / "list.json")
    return folder


def started(data: Path, output: Path, *, workers: int, epochs: int) -> subprocess.Popen[bytes]:
    """The training, begun or gone on with."""
    options = {
        "dataset_dir": data,
        "datalist": data / "list.json",
        "spacing_mm": SPACING_MM,
        "patch_size": [24, 32, 24],
        "cases": 6,
        "epochs": epochs,
        "num_workers": workers,
        "domain_randomisation": 1.0,
        "output_dir": output,
        "resume": True,
        "device": "cpu",
    }
    config = str(bundles_dir() / "brats_ft" / "train.json")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config]
    command += [str(text) for key, value in options.items() for text in (f"--{key}", value)]
    with output.with_suffix(".log").open("a") as said:
        return subprocess.Popen(command, stdout=said, stderr=said)


def files(folder: Path) -> set[str]:
    """Every file of a run, event files apart: there is one for each time it went on."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parent.name != "tensorboard"}


def killed(data: Path, output: Path, moments: list[float], *, workers: int, epochs: int) -> int:
    """Kill a run at such moments, then let it end; the kills that hit.

    Args:
        data: the cohort.
        output: folder of the run.
        moments: rising; 3.4 is four tenths of a typical epoch after the third was complete.
        workers: loader processes.
        epochs: how many the run has.
    """
    hits = 0
    for moment in moments:
        process = started(data, output, workers=workers, epochs=epochs)
        epoch_s = wait_for_epoch(process, output, int(moment))
        try:
            require_end(process.wait((moment % 1) * epoch_s), output)
            return hits  # it was done before
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        hits += 1
        status = read_status(output)
        if status is not None and status.state == "done":
            return hits  # the kill came between the last file and the end of the process
    require_end(started(data, output, workers=workers, epochs=epochs).wait(), output)
    return hits


def require_end(status: int, output: Path) -> None:
    """Show what a run said that ended otherwise than well."""
    if status != 0:
        said = output.with_suffix(".log").read_text(errors="replace")
        raise RuntimeError(f"{output.name} ended with {status}\n{said[-5000:]}")


def wait_for_epoch(process: subprocess.Popen[bytes], output: Path, epoch: int) -> float:
    """Return when this process has completed an epoch, or has ended; seconds of its last epoch."""
    report, began = output / "transfer.json", time.time_ns()
    before = read_status(output)
    changed, known, epoch_s = time.monotonic(), before.epoch if before else 0, 0.0
    while process.poll() is None:
        if report.exists() and report.stat().st_mtime_ns >= began:
            status = read_status(output)
            now = status.epoch if status is not None else 0
            if now != known:
                epoch_s, changed, known = time.monotonic() - changed, time.monotonic(), now
            if now >= epoch:
                return epoch_s
        time.sleep(0.005)
    return epoch_s


def main() -> int:
    """Run the comparison; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw, console = random.Random(asked.seed), Console(soft_wrap=True, highlight=False)
    each, same, hits, runs = -(-asked.kills // asked.runs), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        data, whole = cohort(Path(folder, "data")), Path(folder, "whole")
        require_end(started(data, whole, workers=0, epochs=asked.epochs).wait(), whole)
        while runs < asked.runs or hits < asked.kills:
            workers, output = 2 * (runs % 2), Path(folder, f"run{runs}")
            moments = sorted(draw.uniform(0, asked.epochs) for _ in range(each))
            hit = killed(data, output, moments, workers=workers, epochs=asked.epochs)
            equal = all((output / n).read_bytes() == (whole / n).read_bytes() for n in COMPARED)
            over = files(output) ^ files(whole)
            on = json.loads((output / "run.json").read_text())["interruptions"]
            console.print(
                f"run {runs}: {workers} loader processes, {hit} kills, {on} times on from a "
                f"checkpoint, {'same' if equal else 'OTHER'} bits, left over: {sorted(over)}"
            )
            hits, runs, same = hits + hit, runs + 1, same + (equal and not over)
    console.print(f"{same} of {runs} runs end in the same bits after {hits} kills")
    return 0 if same == runs else 1


if __name__ == "__main__":
    raise SystemExit(main())
