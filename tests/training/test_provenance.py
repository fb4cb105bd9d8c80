import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import monai
import numpy as np
import pytest
import torch

import monai_transfer
from monai_transfer.networks import PathologyUNet
from monai_transfer.training import RunRecord, provenance
from monai_transfer.transfer import Source, adapt


@pytest.fixture
def adaptation():
    network = PathologyUNet(2, 3, filters=2, resolution_steps=2)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    source = Source("lesions", state, ("t1", "flair"), "ab" * 32)
    return adapt(network, source, strategy="decoder", modalities=["t1", "flair"])


def test_the_record_says_what_ran_on_what_with_which_result(adaptation, tmp_path):
    record = RunRecord(
        tmp_path / "run", {"seed": 3, "strategy": "decoder"}, data={"name": "clinic"}
    )
    path = record.write(adaptation, datalist_sha256="cd" * 32)
    assert path == tmp_path / "run" / "run.json"
    content = json.loads(path.read_text("utf-8"))
    assert set(content) == {
        "monai_transfer",
        "commit",
        "versions",
        "device",
        "config",
        "transfer",
        "frozen_sha256",
        "data",
        "seconds",
        "interruptions",
        "peak_memory_mb",
        "datalist_sha256",
    }
    assert content["monai_transfer"] == monai_transfer.__version__
    assert content["config"] == {"seed": 3, "strategy": "decoder"}
    assert content["datalist_sha256"] == "cd" * 32
    assert content["data"] == {"name": "clinic"}
    assert content["transfer"]["source"] == "lesions"
    assert content["transfer"]["source_sha256"] == "ab" * 32
    assert content["transfer"]["strategy"]["freeze"] == ["encoder"]
    assert content["transfer"] == json.loads(adaptation.report.to_json())
    assert content["frozen_sha256"] == dict(adaptation.frozen)
    assert len(content["frozen_sha256"]) > 5
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def test_versions_are_those_that_are_running():
    versions = provenance.versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == torch.__version__
    assert versions["monai"] == monai.__version__
    assert versions["numpy"] == np.__version__
    assert set(versions) >= {"pytorch-ignite", "scipy", "nibabel", "nilearn"}


def test_time_is_counted_from_the_records_beginning(adaptation, tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(provenance.time, "time", lambda: now[0])
    record = RunRecord(tmp_path, {})
    now[0] += 62.34
    assert json.loads(record.write(adaptation).read_text())["seconds"] == 62.3


def test_the_time_of_an_interruption_is_not_counted(adaptation, tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(provenance.time, "time", lambda: now[0])
    first = RunRecord(tmp_path, {})
    now[0] += 10
    kept = first.state_dict()
    now[0] += 500
    second = RunRecord(tmp_path, {})
    second.load_state_dict(kept)
    now[0] += 3
    content = json.loads(second.write(adaptation).read_text())
    assert (content["seconds"], content["interruptions"]) == (13.0, 1)


def test_values_json_does_not_know_are_written_as_text(adaptation, tmp_path):
    config = {"device": torch.device("cpu"), "folder": tmp_path}
    content = json.loads(RunRecord(tmp_path, config).write(adaptation).read_text())
    assert content["config"] == {"device": "cpu", "folder": str(tmp_path)}


def test_later_changes_of_the_config_are_not_recorded(adaptation, tmp_path):
    config = {"seed": 0}
    record = RunRecord(tmp_path, config)
    config["seed"] = 1
    assert json.loads(record.write(adaptation).read_text())["config"] == {"seed": 0}


def checkout(folder, *, git: bool):
    """A package folder, in a git checkout with one commit or in none; returns its module."""
    package = folder / "monai_transfer" / "training"
    package.mkdir(parents=True)
    module = package / "provenance.py"
    module.touch()
    if git:
        for arguments in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
        ):
            subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return module


def test_the_commit_is_that_of_the_checkout_and_says_whether_it_was_changed(tmp_path, monkeypatch):
    module = checkout(tmp_path / "clone", git=True)
    monkeypatch.setattr(provenance, "__file__", str(module))
    clean = provenance.commit()
    assert re.fullmatch("[0-9a-f]{7,40}", clean)
    module.write_text("changed")
    assert provenance.commit() == f"{clean}-dirty"


def test_an_installed_package_has_no_commit_even_inside_somebodys_checkout(tmp_path, monkeypatch):
    checkout(tmp_path, git=True)
    module = checkout(tmp_path / "venv" / "site-packages", git=False)
    monkeypatch.setattr(provenance, "__file__", str(module))
    assert provenance.commit() is None


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    module = checkout(tmp_path, git=True)
    monkeypatch.setattr(provenance, "__file__", str(module))
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_peak_memory_is_that_of_this_process_in_megabytes():
    status = Path("/proc/self/status").read_text("ascii")
    peak_kb = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    assert provenance.peak_memory_mb()["host"] == pytest.approx(peak_kb / 1024, rel=0.02)


def test_a_system_that_cannot_tell_the_peak_has_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert "host" not in provenance.peak_memory_mb()


def test_the_device_is_named_without_the_machine():
    assert provenance.device_name() != platform.node()
    if not torch.cuda.is_available():
        assert provenance.device_name() == platform.machine()
