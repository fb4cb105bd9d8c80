"""Training in several processes, on CPUs here: the same overlay runs on GPUs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow


def started(bundle: Path, *options: str, folder: Path) -> subprocess.Popen[str]:
    files = f"['{bundle}/train.json','{bundle}/multi_gpu_train.json']"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    call = [*launch, "-m", "monai.bundle", "run", "--config_file", files, *options]
    return subprocess.Popen(
        [sys.executable, *call],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def torchrun(bundle: Path, *options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    process = started(bundle, *options, folder=folder)
    said, failed = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, said, failed)


@pytest.mark.parametrize(
    ("name", "strategy", "frozen"),
    [
        ("anatomy_ft", "encoder_latent", None),
        ("autoencoder_source", "scratch", None),
        ("brats_ft", "decoder", "encoder."),
        ("ms_ft", "encoder_latent", None),
        ("ms_source", "scratch", None),
        ("segan_ft", "all", None),
        ("segan_ft", "segmentor", "critic."),
        ("segan_source", "scratch", None),
        ("stroke_ft", "encoder_latent", None),
        ("structures_source", "scratch", None),
        ("tissue_source", "scratch", None),
        ("wmh_ft", "last:3", "convolutions."),
        ("wmh_source", "scratch", None),
    ],
)
def test_two_processes_train_one_model_into_one_folder(
    name: str, strategy: str, frozen: str | None, room: Any, tmp_path: Path
):
    options = room.training(name) | {"cases": 3, "epochs": 2, "strategy": strategy}
    done = torchrun(room.bundle(name), *room.line(options), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Transfer: ") == 1
    assert done.stdout.count("Everything is in ") == 1
    (folder,) = (tmp_path / "runs" / name).iterdir()  # both were given the same
    written = {path.name for path in folder.iterdir()}
    assert {"model.pt", "run.json", "metrics.csv", "history.csv", "tensorboard"} <= written
    assert len(list((folder / "tensorboard").iterdir())) == 1  # one process writes
    record = json.loads((folder / "run.json").read_text())
    trained = torch.load(folder / "model.pt", weights_only=True)
    assert not any(key.startswith("module.") for key in trained)
    if frozen is not None:
        folder_of_it = room.bundle(room.about(name).source)
        source = torch.load(folder_of_it / "models" / "model.pt", weights_only=True)
        still = [key for key in source if key.startswith(frozen)]
        adapted = {r["name"] for r in record["transfer"]["tensors"] if r["action"] == "adapted"}
        same = [torch.equal(source[key], trained[key]) for key in still if key not in adapted]
        assert all(same)
        assert f"{len(still)} frozen tensors are bit-identical." in done.stdout
    if name.startswith("segan"):
        wrapped = (record["config"][f"{part}_network"] for part in ("segmentor", "critic"))
        assert all("data_parallel" in written for written in wrapped)
    else:
        assert record["config"]["network"]["_target_"].endswith("DistributedDataParallel")


def test_a_refusal_ends_all_processes(room: Any, tmp_path: Path):
    options = room.training("brats_ft") | {"cases": 99}
    done = torchrun(room.bundle("brats_ft"), *room.line(options), folder=tmp_path)
    assert done.returncode != 0
    assert "error: split: cases must be 1 to 3" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_stop_reaches_all_processes_and_they_go_on_together(room: Any, tmp_path: Path):
    options = room.training("brats_ft") | {"cases": 3, "epochs": 40, "val_interval": 20}
    line = (*room.line(options), "--output_dir", "out", "--resume", "True")
    process = started(room.bundle("brats_ft"), *line, folder=tmp_path)
    while not (tmp_path / "out" / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.terminate()
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert said.count("Stopped by SIGTERM") == 1
    status = json.loads((tmp_path / "out" / "status.json").read_text())
    assert (status["state"], status["reason"]) == ("stopped", "stopped by SIGTERM")
    assert 0 < status["epoch"] < 40
    done = torchrun(room.bundle("brats_ft"), *line, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "done"
    assert len((tmp_path / "out" / "history.csv").read_text().splitlines()) == 41
