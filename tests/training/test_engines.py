"""The parts together on MONAI's engines, as the bundles wire them."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import TensorBoardStatsHandler, ValidationHandler
from monai.utils import set_determinism

from monai_transfer.networks import PathologyUNet
from monai_transfer.training import (
    BestWeights,
    DecayingWeightCrossEntropy,
    History,
    LesionAUC,
    RegionDice,
    TrainingProgress,
    VolumeInferer,
    class_weights,
    console,
    save_atomically,
)
from monai_transfer.transforms import k19, k19_training

CPU = torch.device("cpu")
LABEL_VALUES = [0, 1, 4]
REGIONS = {"enhancing": [4], "core": [1, 4]}
EPOCHS = 20


@pytest.fixture(autouse=True)
def restore_randomness():
    yield
    set_determinism(seed=None)


def train(entries: list[dict], folder: Path, *, seed: int, epochs: int) -> dict[str, torch.Tensor]:
    """Train on the first and third subject, validate on the first; returns the last weights."""
    set_determinism(seed=seed)
    network = PathologyUNet(2, 3, filters=4, resolution_steps=2)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    preset = k19(label_values=LABEL_VALUES)
    chain = k19_training(preset, (16, 16, 16), domain_randomisation=0.1)
    loss = DecayingWeightCrossEntropy(class_weights(entries, LABEL_VALUES), decay=0.3)
    inferer = VolumeInferer((24, 24, 24), amp=False)
    best = BestWeights(network)
    validator = SupervisedEvaluator(
        device=CPU,
        val_data_loader=DataLoader(CacheDataset(entries[:1], preset, progress=False)),
        network=network,
        inferer=inferer,
        key_val_metric={"mean_dice": RegionDice(REGIONS, LABEL_VALUES)},
        additional_metrics={"lesion_auc": LesionAUC()},
        val_handlers=[best],
    )
    training = CacheDataset(entries[::2], chain, progress=False)
    trainer = SupervisedTrainer(
        device=CPU,
        max_epochs=epochs,
        train_data_loader=DataLoader(training, batch_size=2, shuffle=True),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        inferer=inferer,
        train_handlers=[
            loss,
            ValidationHandler(4, validator),
            History(folder / "history.csv", validator),
            TensorBoardStatsHandler(
                log_dir=folder / "tensorboard",
                output_transform=lambda output: output["loss"].detach(),
                tag_name="loss",
            ),
            TrainingProgress(validator),
        ],
        decollate=False,
    )
    with console.capture():
        trainer.run()
    save_atomically(best.weights, folder / "model.pt")
    return network.state_dict()


@pytest.fixture(scope="module")
def trained(entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(entries, folder, seed=2, epochs=EPOCHS)
    set_determinism(seed=None)
    return folder


def test_a_small_network_learns_to_see_the_tumour(trained):
    table = pd.read_csv(trained / "history.csv")
    assert table["epoch"].tolist() == list(range(1, EPOCHS + 1))
    assert table["loss"].iloc[-1] < 0.5 * table["loss"].iloc[0]
    validated = table.dropna()
    assert validated["epoch"].tolist() == list(range(4, EPOCHS + 1, 4))
    assert validated["mean_dice"].max() > 0.3
    assert validated["lesion_auc"].max() > 0.8
    columns = ["epoch", "loss", "mean_dice", "lesion_auc", "dice_enhancing", "dice_core"]
    columns += ["threshold", "dice_at_threshold"]
    assert set(table.columns) == set(columns)


def test_the_kept_weights_have_the_best_score_of_the_history(trained, entries):
    network = PathologyUNet(2, 3, filters=4, resolution_steps=2)
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True))
    metric = RegionDice(REGIONS, LABEL_VALUES)
    evaluator = SupervisedEvaluator(
        device=CPU,
        val_data_loader=DataLoader(
            CacheDataset(entries[:1], k19(label_values=LABEL_VALUES), progress=False)
        ),
        network=network,
        inferer=VolumeInferer((24, 24, 24), amp=False),
        key_val_metric={"mean_dice": metric},
    )
    evaluator.run()
    best = pd.read_csv(trained / "history.csv")["mean_dice"].max()
    assert evaluator.state.metrics["mean_dice"] == pytest.approx(best, abs=1e-6)


def test_the_seed_decides_everything(entries, tmp_path):
    runs = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        weights = train(entries, tmp_path / name, seed=seed, epochs=4)
        history = (tmp_path / name / "history.csv").read_bytes()
        runs[name] = [history, *(value.numpy().tobytes() for value in weights.values())]
    assert runs["again"] == runs["first"]
    assert runs["other"][0] != runs["first"][0]
