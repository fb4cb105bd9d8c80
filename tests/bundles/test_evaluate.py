import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def evaluate(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Evaluates into ``out``."""

    def evaluate(name: str, *, folder: str = "", **options: Any) -> str:
        files = [room.bundle(name) / folder / f"{kind}.json" for kind in ("train", "evaluate")]
        given = {"output_dir": "out", "amp": False} | room.options(name) | options
        return run(*files, **given)

    return evaluate


@pytest.mark.parametrize("folder", ["", "configs"])
def test_an_evaluation_scores_the_test_subjects_and_trains_nothing(
    name: str, folder: str, evaluate: Callable[..., str], about: Any, room: Any
):
    before = (room.bundle(name) / "models" / "model.pt").read_bytes()
    said = evaluate(name, folder=folder)
    assert "1 test subjects" in said
    assert "strategy direct" in said
    left = {path.name for path in Path("out").iterdir()}
    assert {"metrics.csv", "run.json", "transfer.json", *about.left} <= left
    assert not left & {"model.pt", "history.csv", "learning_curve.png", "tensorboard"}
    record = json.loads(Path("out/run.json").read_text())
    assert record["transfer"]["totals"]["loaded"]["tensors"] == about.tensors
    assert record["transfer"]["totals"]["frozen"]["tensors"] == about.tensors
    assert (room.bundle(name) / "models" / "model.pt").read_bytes() == before


def test_an_evaluation_of_a_training_repeats_its_scores(
    finished: Any, evaluate: Callable[..., str]
):
    evaluate(finished.name, weights=str(finished.folder / "model.pt"))
    ours, theirs = (Path(p, "metrics.csv").read_text() for p in (finished.folder, "out"))
    assert ours == theirs


def uncounted(path: Path) -> dict[str, Any]:
    """A datalist without its numbers of entries, to be changed."""
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if not key.startswith("num")}


def test_subjects_are_those_of_the_datalist(evaluate: Callable[..., str], room: Any):
    datalist = uncounted(room.datalist("ms_source"))
    datalist["test"] = datalist["training"][:2]
    datalist["training"] = []
    Path("mine.json").write_text(json.dumps(datalist))
    evaluate("ms_source", datalist="mine.json")
    with Path("out/metrics.csv").open(encoding="utf-8") as file:
        scored = {row["subject"] for row in csv.DictReader(file)}
    assert scored == {entry["subject"] for entry in datalist["test"]}


@pytest.mark.parametrize(("test", "said"), [([], "got none"), ([{"unlabelled": True}], "got none")])
def test_without_a_labelled_test_subject_it_is_refused(
    test: list[Any],
    said: str,
    evaluate: Callable[..., str],
    room: Any,
    refusal: Callable[..., str],
):
    datalist = uncounted(room.datalist("ms_source"))
    images = datalist["test"][0]["image"]
    datalist["test"] = [{"image": images} for _ in test]
    Path("mine.json").write_text(json.dumps(datalist))
    with pytest.raises(RuntimeError) as caught:
        evaluate("ms_source", datalist="mine.json")
    message = refusal(caught.value)
    assert "datalist: list test must hold a labelled subject" in message
    assert said in message


@pytest.mark.parametrize(
    ("weights", "fragment"),
    [
        ("nowhere.pt", "source must be"),
        ("other.pt", "strategy direct must be able to copy every tensor of encoder"),
        ("noise.pt", "weights must be a PyTorch file of plain tensors"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    weights: str,
    fragment: str,
    evaluate: Callable[..., str],
    room: Any,
    refusal: Callable[..., str],
):
    state = torch.load(room.bundle("ms_source") / "models" / "model.pt", weights_only=True)
    del state["encoder.steps.1.0.weight"]
    torch.save(state, "other.pt")
    Path("noise.pt").write_bytes(b"not weights")
    with pytest.raises(RuntimeError) as caught:
        evaluate("ms_source", weights=weights)
    assert fragment in refusal(caught.value)
    assert not Path("out/metrics.csv").exists()
