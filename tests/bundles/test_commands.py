"""The commands as a user types them, each in an interpreter of its own."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python -m monai.bundle run`` with a config, from a folder."""

    def command(
        config: str, *options: str, folder: Path = ROOT, launcher: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        call = ["-m", *launcher, "monai.bundle", "run", "--config_file", config, *options]
        return subprocess.run(
            [sys.executable, *call],
            cwd=folder,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_the_readme_s_command_trains_from_the_root_of_the_repository(
    command: Callable[..., Any], room: Any, tmp_path: Path
):
    options = (*room.line(room.training("brats_ft")), "--output_dir", str(tmp_path / "out"))
    done = command("bundles/brats_ft/train.json", *options)
    assert done.returncode == 0, done.stderr
    assert "Transfer: ms_source, strategy all" in done.stdout
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "model.pt").exists()


def test_a_misspelt_option_is_one_line_and_a_status(command: Callable[..., Any], tmp_path: Path):
    done = command("bundles/brats_ft/train.json", "--epoch", "2")
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert line.endswith("got epoch. Did you mean epochs?")
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().endswith("(--debug True shows where it was raised)")


@pytest.mark.slow
def test_debug_shows_where_an_error_was_raised(command: Callable[..., Any]):
    done = command("bundles/brats_ft/train.json", "--epoch", "2", "--debug", "True")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "monai_transfer.errors.InputError: options: key must be" in done.stderr


@pytest.mark.slow
def test_the_configs_folder_works_from_inside_the_bundle(
    name: str, command: Callable[..., Any], room: Any, tmp_path: Path
):
    options = (*room.line(room.training(name)), "--output_dir", str(tmp_path / "out"))
    done = command("configs/train.json", *options, folder=room.bundle(name))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.pt").exists()


@pytest.mark.slow
def test_an_evaluation_is_typed_as_a_list_of_two_configs(
    name: str, command: Callable[..., Any], room: Any, tmp_path: Path
):
    folder = room.bundle(name)
    files = f"['{folder}/train.json','{folder}/evaluate.json']"
    options = (*room.line(room.options(name)), "--output_dir", str(tmp_path / "out"))
    done = command(files, *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "metrics.csv").exists()


@pytest.mark.slow
def test_without_data_a_cohort_is_simulated_once(
    command: Callable[..., Any], room: Any, tmp_path: Path
):
    tiny = room.training("ms_source")
    del tiny["dataset_dir"], tiny["datalist"]
    options = (*room.line(tiny), "--output_dir")
    first = command("bundles/ms_source/train.json", *options, str(tmp_path / "one"))
    assert first.returncode == 0, first.stderr
    assert "No data set given: simulating 20 subjects (ms) once, into " in first.stdout
    assert (
        "2 of 12 training, 4 validation, 4 test subjects." in first.stdout
    )  # a fifth, although the paper tests elsewhere
    second = command("bundles/ms_source/train.json", *options, str(tmp_path / "two"))
    assert "No data set given: the simulated cohort of 20 subjects in " in second.stdout
    ours, theirs = ((tmp_path / run / "metrics.csv").read_text() for run in ("one", "two"))
    assert ours == theirs


@pytest.mark.slow
def test_a_stop_is_one_line_and_a_status_and_the_command_it_prints_goes_on(
    command: Callable[..., Any], room: Any, tmp_path: Path
):
    options = room.training("brats_ft") | {"epochs": 120, "val_interval": 60}
    line = (*room.line(options), "--output_dir", str(tmp_path / "out"), "--resume", "True")
    call = ["-m", "monai.bundle", "run", "--config_file", "bundles/brats_ft/train.json", *line]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *call], cwd=ROOT, stdout=pipe, stderr=pipe, text=True
    )
    while not (tmp_path / "out" / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    refused = command("bundles/brats_ft/train.json", *line)  # meanwhile
    assert refused.returncode == 1
    assert "be no other run's, got one that is running" in refused.stderr
    process.terminate()
    said, failed = process.communicate()
    assert process.returncode == 143
    assert "Traceback" not in failed
    assert "terminating due to exception" not in said + failed
    (told,) = (text for text in said.splitlines() if text.startswith("Stopped by SIGTERM after"))
    again = shlex.split(told.partition("To go on: ")[2])
    done = subprocess.run(
        [sys.executable, *again[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "The run goes on in epoch " in done.stdout
    assert (tmp_path / "out" / "model.pt").exists()
