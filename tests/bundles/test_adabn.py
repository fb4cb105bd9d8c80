"""``adabn.json`` laid over ``train.json``: statistics of the new protocol, and nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture
def adapt(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Re-estimates into ``out``; what was printed."""

    def adapt(**options: Any) -> str:
        files = [room.bundle("wmh_ft") / f"{kind}.json" for kind in ("train", "adabn")]
        given = {**room.options("wmh_ft"), "amp": False, "output_dir": "out", **options}
        return run(*files, **given)

    return adapt


def test_it_re_estimates_the_source_s_norms_and_scores_the_test_subjects(
    adapt: Callable[..., str], room: Any
):
    said = adapt()
    assert "3 training, 1 test subjects" in said
    assert "Transfer: wmh_source, strategy adabn" in said
    batches = 3 * 1024 // 128  # patches of each subject, and of a batch
    assert f"Statistics of 14 norm layers re-estimated on {batches} batches." in said
    left = {path.name for path in Path("out").iterdir()}
    assert {"metrics.csv", "run.json", "transfer.json", "predictions", "overlays"} <= left
    assert not left & {"history.csv", "learning_curve.png", "tensorboard"}
    totals = json.loads(Path("out/run.json").read_text())["transfer"]["totals"]
    assert totals["loaded"]["tensors"] == room.about("wmh_ft").tensors


def test_it_reads_no_training_label(adapt: Callable[..., str], room: Any):
    adapt()
    datalist = json.loads(room.datalist("wmh_ft").read_text())
    for entry in datalist["training"]:
        del entry["label"]
    Path("unlabelled.json").write_text(json.dumps(datalist))
    adapt(datalist="unlabelled.json", output_dir="without")
    ours, theirs = (Path(folder, "metrics.csv").read_text() for folder in ("out", "without"))
    assert ours == theirs


def test_its_weights_are_published_and_differ_in_statistics_alone(
    adapt: Callable[..., str], room: Any
):
    adapt()
    found = torch.load("out/model.pt", weights_only=True)
    source = torch.load(room.bundle("wmh_source") / "models/model.pt", weights_only=True)
    moved = {key for key in source if not torch.equal(source[key], found[key])}
    assert moved
    assert all(re.search(rf"norm\.({'|'.join(STATISTICS)})$", key) for key in moved)
