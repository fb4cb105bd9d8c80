"""``paper.json`` laid over ``train.json`` is what the bundle's paper says, as far as it says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import RandCropByPosNegLabeld, RandFlipd, ResizeWithPadOrCropd

from monai_transfer.bundle import bundles_dir
from monai_transfer.transforms import K19_SIZE_MM

KAUR, GHAFOORIAN = ["brats_ft", "ms_source"], ["wmh_ft", "wmh_source"]
GIACOMELLO = ["segan_ft", "segan_source"]


def resolved(name: str, *configs: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundles_dir() / name / config) for config in configs])
    return parser


@pytest.mark.parametrize("name", KAUR)
def test_whole_volumes_at_1_mm_without_augmentation(name: str):
    parser = resolved(name, "train.json", "paper.json")
    chain = parser.get_parsed_content("train#preprocessing").transforms
    (sized,) = (step for step in chain if isinstance(step, ResizeWithPadOrCropd))
    assert tuple(sized.padder.padder.spatial_size) == K19_SIZE_MM == (240, 192, 192)
    (cropped,) = (step for step in chain if isinstance(step, RandCropByPosNegLabeld))
    assert tuple(cropped.cropper.spatial_size) == K19_SIZE_MM
    assert isinstance(chain[-1], RandCropByPosNegLabeld)  # nothing random after it
    assert not any(isinstance(step, RandFlipd) for step in chain)
    assert parser["spacing_mm"] == 1.0
    assert parser.get_parsed_content("inferer").window == K19_SIZE_MM
    tested = parser.get_parsed_content("test#preprocessing").transforms
    assert any(isinstance(step, ResizeWithPadOrCropd) for step in tested)


@pytest.mark.parametrize("name", KAUR)
def test_epochs_are_the_papers_and_each_is_a_candidate(name: str):
    parser = resolved(name, "train.json", "paper.json")
    assert (parser.get_parsed_content("epochs"), parser["val_interval"]) == (190, 1)
    assert 1 + 1000 * parser["class_weight_decay"] ** 190 < 1.1  # the weights have reached 1
    assert parser["class_weight_decay"] ** 20 > 0.3  # and not at once


def test_the_smallest_of_the_papers_training_sets_is_taken():
    assert resolved("brats_ft", "train.json", "paper.json")["cases"] == 20


def test_what_is_not_published_is_as_in_the_demo(name: str):
    demo, paper = (resolved(name, "train.json", *more) for more in ((), ("paper.json",)))
    for key in ("optimizer", "lr_scheduler", "network_def", "strategy"):
        assert paper.config.get(key) == demo.config.get(key), key
    sizes = {**dict.fromkeys(KAUR, 1), **dict.fromkeys(GIACOMELLO, 64)}  # volumes; the code's
    assert paper["batch_size"] == sizes.get(name, demo["batch_size"])


@pytest.mark.parametrize("name", KAUR)
def test_neither_is_kaurs_rate(name: str):
    demo, paper = (resolved(name, "train.json", *more) for more in ((), ("paper.json",)))
    assert paper["learning_rate"] == demo["learning_rate"]


@pytest.mark.parametrize("name", GHAFOORIAN)
def test_what_ghafoorian_publishes_of_a_training(name: str):
    """Section 2.3: Adam of 1e-4, decaying, L2 of 1e-4, dropout of 0.3, batches of 128, epochs."""
    parser = resolved(name, "train.json", "paper.json")
    network = parser.get_parsed_content("network_def")
    parser["adaptation"] = {
        "_target_": "monai_transfer.transfer.adapt",
        "network": network,
        "strategy": "scratch",
        "modalities": ["t1", "flair"],
    }
    optimizer = parser.get_parsed_content("optimizer")
    assert isinstance(optimizer, torch.optim.Adam)
    groups = optimizer.param_groups
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-4, 1e-4)}
    scheduler = parser.get_parsed_content("lr_scheduler")
    optimizer.step()
    scheduler.step()
    assert all(group["lr"] < 1e-4 for group in groups)
    dropped = [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropped == [0.3, 0.3]
    assert (parser["batch_size"], parser["epochs"], parser["lesion_fraction"]) == (128, 100, 0.25)
    assert parser["flip"] is True
    assert parser["patience"] is not None


def test_ghafoorian_tunes_the_last_layers_on_two_cases():
    parser = resolved("wmh_ft", "train.json", "paper.json")
    assert (parser["cases"], parser["strategy"]) == (2, "last:3")


@pytest.mark.parametrize("name", GIACOMELLO)
def test_what_giacomello_publishes_of_a_training(name: str):
    """Section V: RMSprop of 2e-5, a patience of 500 epochs; III: Dice term, SegAN-IO."""
    parser = resolved(name, "train.json", "paper.json")
    network = parser.get_parsed_content("network_def")
    assert sum(p.numel() for p in network.parameters()) == 4_963_393
    assert network.critic.concatenates
    parser["adaptation"] = {
        "_target_": "monai_transfer.transfer.adapt",
        "network": network,
        "strategy": "scratch",
        "modalities": "@modalities",
    }
    for optimizer, part in (("optimizer", "segmentor"), ("critic_optimizer", "critic")):
        built = parser.get_parsed_content(optimizer)
        assert isinstance(built, torch.optim.RMSprop)
        (group,) = built.param_groups
        assert (group["name"], group["lr"], group["weight_decay"]) == (part, 2e-5, 0)
    assert (parser["patience"], parser["val_interval"]) == (500, 1)
    assert (parser["flip"], parser["domain_randomisation"]) == (False, 0)
    assert parser.get_parsed_content("loss").dice_weight == 1
    chain = parser.get_parsed_content("train#preprocessing").transforms
    (sized,) = (step for step in chain if isinstance(step, ResizeWithPadOrCropd))
    assert tuple(sized.padder.padder.spatial_size) == (180, 180, 128)


def test_a_training_as_ghafoorians_runs(run: Callable[..., str], room: Any):
    folder = room.bundle("wmh_ft")
    options = {**room.training("wmh_ft"), "cases": 2, "output_dir": "out"}
    said = run(folder / "train.json", folder / "paper.json", **options)
    assert "Transfer: wmh_source, strategy last:3" in said
    assert Path("out/model.pt").exists()


def test_a_training_on_whole_volumes_runs_and_predicts_on_the_original_grid(
    run: Callable[..., str], room: Any
):
    """The paper's setting on a grid of 6 mm."""
    folder, size = room.bundle("brats_ft"), [40, 32, 32]
    sizes = dict.fromkeys(("volume_size", "patch_size", "window_size"), size)
    options = {**room.training("brats_ft"), **sizes, "output_dir": "out"}
    run(folder / "train.json", folder / "paper.json", **options)
    (prediction,) = Path("out/predictions").iterdir()
    image = next(room.cohort("brats_ft").rglob(f"{prediction.name.split('.')[0]}_t1.nii.gz"))
    assert nib.load(prediction).shape == nib.load(image).shape
