"""``adabn.json`` laid over ``train.json``: statistics of the new protocol, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


@pytest.fixture(scope="module")
def done(
    room: Any, run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a run, and what it printed."""
    folder = tmp_path_factory.mktemp("adabn") / "out"
    files = [room.bundle("wmh_ft") / f"{kind}.json" for kind in ("train", "adabn")]
    options = {**room.options("wmh_ft"), "amp": False, "output_dir": str(folder)}
    return folder, run(*files, **options)


def test_it_re_estimates_the_source_s_norms_and_scores_the_test_subjects(
    done: tuple[Path, str], room: Any
):
    folder, said = done
    assert "3 training, 1 test subjects" in said
    assert "Transfer: wmh_source, strategy adabn" in said
    batches = 3 * 1024 // 128  # patches of each subject, and of a batch
    assert f"Statistics of 14 norm layers re-estimated on {batches} batches." in said
    left = {path.name for path in folder.iterdir()}
    assert {"metrics.csv", "run.json", "transfer.json", "predictions", "overlays"} <= left
    assert not left & {"history.csv", "learning_curve.png", "tensorboard", "checkpoint.pt"}
    totals = json.loads((folder / "run.json").read_text())["transfer"]["totals"]
    counts = [totals[action]["tensors"] for action in ("loaded", "re-estimated")]
    assert counts == [44, 42]  # the norms have three statistics each


def test_its_weights_are_published_and_differ_from_the_source_in_statistics_alone(
    done: tuple[Path, str], room: Any
):
    found = torch.load(done[0] / "model.pt", weights_only=True)
    source = torch.load(room.bundle("wmh_source") / "models" / "model.pt", weights_only=True)
    moved = {key for key in source if not torch.equal(source[key], found[key])}
    assert {key.rpartition(".")[2] for key in moved} == STATISTICS
    assert len(moved) == 42


def test_they_segment(done: tuple[Path, str], room: Any, run: Callable[..., str]):
    """As its own test did."""
    inference = room.bundle("wmh_ft") / "inference.json"
    options = {**room.images("wmh_ft"), "weights": str(done[0] / "model.pt"), "amp": False}
    run(inference, output_dir="found", **options)
    (tested,) = (done[0] / "predictions").iterdir()
    assert Path("found", tested.name).read_bytes() == tested.read_bytes()
