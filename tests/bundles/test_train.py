import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_transfer._metaimage import load_image


@pytest.fixture
def train(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Trains into ``out``; what was printed."""

    def train(name: str, **options: Any) -> str:
        given = {"output_dir": "out"} | room.training(name) | options
        return run(room.bundle(name) / "train.json", **given)

    return train


def read(path: Path | str) -> Any:
    return json.loads(Path(path).read_text("utf-8"))


def rows(path: Path | str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text("utf-8").splitlines()))


def test_a_training_leaves_what_a_run_promises(finished: Any, room: Any):
    assert {path.name for path in finished.folder.iterdir()} == {
        *("model.pt", "run.json", "status.json", "transfer.json", "history.csv", "metrics.csv"),
        *("learning_curve.png", "tensorboard", *finished.about.left),
    }
    (tested,) = read(room.datalist(finished.name))["test"]
    scored = [(row["subject"], row["region"]) for row in rows(finished.folder / "metrics.csv")]
    assert scored == [(tested["subject"], region) for region in finished.about.regions]


def test_predictions_of_the_test_are_label_maps_on_the_original_grid(finished: Any, room: Any):
    (tested,) = read(room.datalist(finished.name))["test"]
    if not finished.about.segments:
        pytest.skip("tells what is in each slice: there is no label map")
    prediction = nib.load(finished.folder / "predictions" / f"{tested['subject']}.nii.gz")
    label = load_image(room.cohort(finished.name) / tested["label"])
    assert prediction.shape == label.shape
    np.testing.assert_array_equal(prediction.affine, label.affine)
    assert set(np.unique(prediction.dataobj)) <= finished.about.values


def test_a_training_says_what_its_data_are_and_where_everything_is(finished: Any, room: Any):
    pool = len(read(room.datalist(finished.name))["training"])
    counts = f"2 of {pool} training, 1 validation, 1 test subjects."
    assert f"Data: {finished.about.manifest} (simulated), {counts}\n" in finished.said
    assert finished.said.index("Data:") < finished.said.index("Transfer:")
    assert re.search(f"Everything is in {finished.folder}: .*history.csv", finished.said)


def test_the_record_says_what_was_asked_on_which_data_and_what_became_of_every_tensor(
    finished: Any,
):
    record = read(finished.folder / "run.json")
    config, about = record["config"], finished.about
    assert (config["seed"], config["cases"], config["dataset_dir"]) == (0, 2, about.disease)
    assert "@adaptation.parameter_groups(@learning_rate)" in config["optimizer"]["params"]
    assert (record["data"]["name"], record["data"]["simulated"]) == (about.manifest, True)
    assert len(record["data"]["sha256"]) == 64
    totals = {k: v["tensors"] for k, v in record["transfer"]["totals"].items()}
    expected = {
        # the two convolutions and the output layer of the head, weights and biases, are new
        "brats_ft": {"loaded": 60, "reset": 6},
        "ms_source": {"loaded": 0, "reset": 66},
        # of the encoder 318 tensors, of the latent space 6
        **{name: {"loaded": 324, "reset": 56} for name in ("anatomy_ft", "ms_ft", "stroke_ft")},
        "autoencoder_source": {"loaded": 0, "reset": 380},
        # the first layer of each network sees another modality; the critic has 14 tensors
        "segan_ft": {"loaded": 52, "adapted": 2, "reset": 0, "frozen": 14},
        "segan_source": {"loaded": 0, "reset": 54},
        "structures_source": {"loaded": 0, "reset": 328},
        "tissue_source": {"loaded": 0, "reset": 380},
        # of 12 convolutions a weight and the norm's two parameters and three statistics
        "wmh_ft": {"loaded": 86, "reset": 0, "frozen": 72},
        "wmh_source": {"loaded": 0, "reset": 86},
    }
    assert record["transfer"]["source"] == about.source
    assert expected[finished.name].items() <= totals.items()


def test_loss_and_score_are_logged_for_tensorboard(finished: Any, room: Any):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged = EventAccumulator(str(finished.folder / "tensorboard")).Reload()
    losses = logged.Scalars("loss")
    assert [event.step for event in losses] == list(range(1, room.steps(finished.name) + 1))
    (epoch,) = rows(finished.folder / "history.csv")
    assert float(epoch["loss"]) == pytest.approx(np.mean([event.value for event in losses]))
    (score,) = logged.Scalars(finished.about.score)
    assert float(epoch[finished.about.score]) == pytest.approx(score.value)


@pytest.mark.parametrize(
    ("name", "strategy", "tuned"),
    [
        ("brats_ft", "head", {"head"}),
        ("wmh_ft", "last:3", {"dense", "head"}),
        ("wmh_ft", "last:1", {"head"}),
    ],
)
def test_a_frozen_source_is_found_beside_the_bundle_and_comes_out_bit_identical(
    name: str, strategy: str, tuned: set[str], train: Callable[..., str], room: Any
):
    said = train(name, strategy=strategy)
    trained = torch.load("out/model.pt", weights_only=True)
    still = [key for key in trained if key.partition(".")[0] not in tuned]
    assert f"{len(still)} frozen tensors are bit-identical." in said
    folder = room.bundle(read("out/run.json")["transfer"]["source"])
    source = torch.load(folder / "models/model.pt", weights_only=True)
    same = {key.partition(".")[0] for key in source if torch.equal(source[key], trained[key])}
    moved = {
        key.partition(".")[0]
        for key in source
        if source[key].shape != trained[key].shape or not torch.equal(source[key], trained[key])
    }
    assert (same - moved, moved) == ({key.partition(".")[0] for key in still}, tuned)


@pytest.mark.parametrize("name", ["ms_source", "stroke_ft", "wmh_source", "wmh_ft"])
def test_the_same_seed_gives_the_same_weights_and_another_gives_others(
    name: str, train: Callable[..., str]
):
    def weights(seed: int, folder: str, **options: Any) -> torch.Tensor:
        train(name, seed=seed, cases=1, output_dir=folder, **options)
        state = torch.load(Path(folder, "model.pt"), weights_only=True)
        return torch.cat([tensor.flatten().double() for tensor in state.values()])

    first, other = weights(1, "first"), weights(2, "other")
    assert torch.equal(first, weights(1, "again", num_workers=1))
    assert not torch.equal(first, other)


def test_a_training_is_validated_at_least_once_however_rarely(train: Callable[..., str]):
    train("brats_ft", strategy="scratch", epochs=2, val_interval=7)
    assert [bool(row["mean_dice"]) for row in rows("out/history.csv")] == [False, True]


def test_fewer_modalities_train_a_network_with_fewer_channels(train: Callable[..., str]):
    train("brats_ft", modalities=["flair", "t1c"], picture_modality="flair")
    weight = torch.load("out/model.pt", weights_only=True)["encoder.steps.0.0.weight"]
    assert weight.shape[1] == 2
    (first,) = (t for t in read("out/transfer.json")["tensors"] if t["action"] == "adapted")
    assert (first["name"], first["reason"].split(",")[:2]) == (
        "encoder.steps.0.0.weight",
        ["t1 dropped", " t2 dropped"],
    )


@pytest.mark.parametrize(
    ("emptied", "sentence", "left"),
    [
        ("test", "No labelled test subjects: nothing is scored.", False),
        ("validation", "No validation subjects: the training subjects choose the epoch.", True),
    ],
)
def test_a_list_may_be_empty_and_that_is_said(
    emptied: str, sentence: str, train: Callable[..., str], room: Any, *, left: bool
):
    datalist = read(room.datalist("ms_source")) | {emptied: []}
    datalist[f"num{emptied.capitalize()}"] = 0
    Path("list.json").write_text(json.dumps(datalist))
    assert sentence in train("ms_source", datalist="list.json", cases=1)
    assert Path("out/run.json").exists()
    assert Path("out/metrics.csv").exists() == left
