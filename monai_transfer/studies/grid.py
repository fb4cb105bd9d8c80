"""A grid of runs, each an ordinary bundle command in a process and a folder of its own.

What is finished is not run again, and what is there from another grid is never taken for it.
"""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any, Final

from monai_transfer._files import written_aside
from monai_transfer.bundle.workflow import without_folders
from monai_transfer.errors import InputError
from monai_transfer.studies.child import run_child
from monai_transfer.studies.commands import bundle_command
from monai_transfer.training import Stopped, console, progress_bar
from monai_transfer.training.status import read_status

RECORD: Final = "cells.json"
_SIGNALS: Final = {signum.value: signum.name for signum in Signals}


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Args:
        at: axis → value: what tells it from the other cells, and names its folder.
        options: of its bundle command, without ``output_dir``.
    """

    at: Mapping[str, str | float]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its folder.

        Example:
            >>> Cell({"learning_rate": 0.01, "fold": 2}, {}).name
            'learning_rate-0.01_fold-2'
        """
        return "_".join(f"{axis}-{value}" for axis, value in self.at.items())

    def command(self, configs: Sequence[str | Path], output_dir: Path) -> list[str]:
        """What a person would type to run it, as arguments.

        Args:
            configs: config files of the bundle.
            output_dir: of the grid.
        """
        # a run that was interrupted is gone on with; where there is none, it begins
        added = {"output_dir": output_dir / self.name, "resume": True}
        return bundle_command(configs, {**self.options, **added})


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Args:
        cell: the one.
        folder: of its run.
        error: in one line; ``None``: it is finished.
        collapsed: whether the training ended itself, as it would again: a result of its own.
    """

    cell: Cell
    folder: Path
    error: str | None
    collapsed: bool = False


def run_cells(
    configs: Sequence[str | Path],
    cells: Sequence[Cell],
    *,
    output_dir: str | os.PathLike[str],
    description: str,
) -> Iterator[Outcome]:
    """Run every cell that is not finished, one after the other.

    A cell that fails does not end the others; what it said is beside its folder, as ``<cell>.log``,
    and it is run again the next time, unless its training collapsed.

    Args:
        configs: config files of the bundle.
        cells: with distinct names.
        output_dir: has a folder for each cell, and ``cells.json``: the options of all of them.
        description: what stands before the progress bar.

    Yields:
        The outcome of each cell, in order, once it is known.

    Raises:
        InputError: a cell of the same name is there with other options or other data.
        Stopped: Ctrl-C or SIGTERM, once the cell that was running has ended.
    """
    folder = Path(output_dir)
    _record(folder, configs, cells)
    done = {cell.name: _ended(cell, folder) for cell in cells}
    left = sum(outcome is None for outcome in done.values())
    console.print(f"{description}: {left} of {len(cells)} trainings to run", highlight=False)
    timed = False
    with progress_bar() as bar:
        task = bar.add_task(description, total=left)
        for cell in cells:
            if (outcome := done[cell.name]) is not None:
                yield outcome
                continue
            started = time.monotonic()
            outcome = _run(configs, cell, folder)
            left -= 1
            if outcome.error is None and left and not timed:
                took_s, timed = time.monotonic() - started, True
                rest = f"the {left} left take about {_duration(left * took_s)}"
                console.print(f"It took {_duration(took_s)}: {rest}.", highlight=False)
            yield outcome
            bar.advance(task)


def finished_cells(
    configs: Sequence[str | Path],
    cells: Sequence[Cell],
    *,
    output_dir: str | os.PathLike[str],
    description: str,
    may_collapse: bool = False,
) -> Iterator[Outcome]:
    """As :func:`run_cells`, for a study that needs every one of its runs.

    Args:
        configs: see :func:`run_cells`.
        cells: likewise.
        output_dir: likewise.
        description: likewise.
        may_collapse: whether a training that collapsed is a result, too.

    Yields:
        The outcome of each cell, none of them with another error.

    Raises:
        InputError: a run failed, with its error; or see :func:`run_cells`.
        Stopped: see :func:`run_cells`.
    """
    for run in run_cells(configs, cells, output_dir=output_dir, description=description):
        if run.error is not None and not (may_collapse and run.collapsed):
            raise InputError(run.cell.name, "run", "finish", got=run.error)
        yield run


def _duration(seconds: float) -> str:
    """A time as a person says it.

    Example:
        >>> _duration(50), _duration(90 * 60 - 1), _duration(3 * 3600)
        ('50 s', '90 min', '3.0 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _ended(cell: Cell, folder: Path) -> Outcome | None:
    """What became of a cell that is not to be run again."""
    status = read_status(folder / cell.name)
    if status is None or status.state not in ("done", "collapsed"):
        return None
    reason = None if status.state == "done" else status.reason or status.state
    return Outcome(cell, folder / cell.name, reason, collapsed=reason is not None)


def _run(configs: Sequence[str | Path], cell: Cell, folder: Path) -> Outcome:
    """Run one cell."""
    command = cell.command(configs, folder)
    try:
        done = run_child(command)
    except Stopped:
        told = f"Stopped in {cell.name}; the same command goes on with it."
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        raise
    log = folder / f"{cell.name}.log"
    ended = _ended(cell, folder)
    if done.returncode == 0 and ended is not None and ended.error is None:
        log.unlink(missing_ok=True)
        return ended
    with written_aside(log) as aside:
        aside.write_text(done.stdout + done.stderr, "utf-8")
    collapsed = ended is not None and ended.collapsed
    return Outcome(cell, folder / cell.name, _reason(done), collapsed=collapsed)


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    """Why a run ended, in one line: its error, the signal, or the last thing it said."""
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    status = ended.returncode
    signum = -status if status < 0 else status - 128
    if not errors and signum in _SIGNALS:
        return f"ended by {_SIGNALS[signum]}; the next call goes on with it"
    return (errors or said or [f"status {status}"])[-1]


def _record(folder: Path, configs: Sequence[str | Path], cells: Sequence[Cell]) -> None:
    """Write down what the cells are, after comparing with what is written there."""
    names = [Path(config).name for config in configs]
    new = {cell.name: {"configs": names, **_identity(cell.options)} for cell in cells}
    path = folder / RECORD
    old = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for cell in cells:
        name, now = cell.name, new[cell.name]
        then = old.get(name, now)
        differing = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        if differing and _ended(cell, folder) is not None:
            got = ", ".join(f"{key} {then.get(key, 'as the bundle has it')}" for key in differing)
            todo = "Take another output folder, or remove this one."
            raise InputError(name, "run that is there", "be of the same grid", got=got, todo=todo)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(old | new, indent=2) + "\n", "utf-8")


def _identity(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without folders, and the digest of every file among them."""
    identity = {name: str(without_folders(value)) for name, value in options.items()}
    for name, value in options.items():
        if isinstance(value, str | os.PathLike) and Path(value).is_file():
            identity[f"{name}_sha256"] = hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return identity
