import ignite.distributed as idist
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from monai_transfer.metrics import read_csv
from monai_transfer.training import (
    SavePresenced,
    ScorePresence,
    SliceClassifierInferer,
    console,
    presence_of,
    score_presence,
)

STRUCTURES = {"0": "background", "1": "thalamus", "5": "brain"}
VALUES = [1, 5]


def entry(number: int) -> dict:
    """Fourteen slices, the first without an image; the brightest voxel tells what is there."""
    rng = np.random.default_rng(number)
    label = np.zeros((1, 3, 3, 14), np.uint8)
    label[0, 1, 1, 2:12] = 5
    label[0, 2, 2, 4:8] = 1
    image = np.full(label.shape, 0.1, np.float32)
    image[0, 0, 0] += (label == 1).any((0, 1, 2)) + 0.8 * rng.random(14)
    image[0, 0, 1] += (label == 5).any((0, 1, 2)) + 0.8 * rng.random(14)
    image[..., 0] = 0
    data = {"image": torch.from_numpy(image), "label": torch.from_numpy(label)}
    return data | {"subject": f"sub-{number}", "group": "young"}


class Reader(nn.Module):
    """Logits are what two voxels show."""

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        return 4 * (slices[:, 0, 0, :2] - 0.9)


@pytest.fixture(scope="module")
def entries() -> list[dict]:
    return [entry(number) for number in range(3)]


def evaluate(entries, scores: ScorePresence) -> str:
    """As a bundle's ``test`` section does; what is printed."""
    with console.capture() as printed:
        SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(entries)),
            network=Reader(),
            inferer=SliceClassifierInferer(amp=False),
            val_handlers=[scores],
        ).run()
    return printed.get()


@pytest.fixture(scope="module")
def evaluation(entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    scores = ScorePresence(entries, STRUCTURES, output_dir=folder)
    return folder, scores, evaluate(entries, scores)


def test_every_structure_of_every_subject_has_a_row(evaluation, entries):
    folder, scores, _ = evaluation
    table = read_csv(folder / "metrics.csv")
    assert list(table) == [
        *("subject", "group", "region", "auc", "f1", "precision", "sensitivity"),
    ]
    assert table[["subject", "region"]].to_numpy().tolist() == [
        [one["subject"], name] for one in entries for name in ("thalamus", "brain")
    ]
    assert set(table["group"]) == {"young"}
    by_name = table.set_index(["subject", "region"])
    for one in entries:
        logits = Reader()(one["image"].movedim(-1, 0)).T
        _, truth, probability = presence_of(one | {"pred": logits}, VALUES)
        assert len(truth) == 13
        for column, name in enumerate(("thalamus", "brain")):
            row = by_name.loc[one["subject"], name]
            pair = truth[:, column], probability[:, column]
            assert row["auc"] == pytest.approx(roc_auc_score(*pair))
            assert row["f1"] == pytest.approx(f1_score(pair[0], pair[1] > 0.5))
    pd.testing.assert_frame_equal(scores.frame, table)


def test_probabilities_are_written_slice_by_slice(evaluation):
    table = pd.read_csv(evaluation[0] / "presence.csv")
    assert len(table) == 3 * 13 * 2
    of_one = table[(table["subject"] == "sub-1") & (table["structure"] == "thalamus")]
    assert of_one["slice"].tolist() == list(range(1, 14))
    assert of_one.loc[of_one["present"] == 1, "slice"].tolist() == [4, 5, 6, 7]


def test_the_means_are_printed(evaluation):
    _, scores, printed = evaluation
    assert "Test: 3 subjects, mean" in printed
    assert "Dice" not in printed
    thalamus = scores.frame[scores.frame["region"] == "thalamus"]
    for metric in ("auc", "f1", "precision", "sensitivity"):
        assert f"{thalamus[metric].mean():.3f}" in printed


def test_best_median_and_worst_are_drawn(evaluation):
    pictures = sorted(path.name for path in (evaluation[0] / "presence").iterdir())
    assert pictures == ["best.png", "median.png", "worst.png"]
    for name in pictures:
        assert np.ptp(imread(evaluation[0] / "presence" / name)[..., :3]) > 0.5


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [  # auc, f1, precision, sensitivity
        ([1, 1, 0, 0], [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]),
        ([0, 0, 0], [0, 0, 0], [np.nan] * 4),
        ([0, 0, 0], [1, 0, 0], [np.nan, 0, 0, np.nan]),
        ([1, 1, 1], [1, 0, 0], [np.nan, 0.5, 1, 1 / 3]),
        ([1, 0, 0], [0, 0, 0], [0.5, 0, np.nan, 0]),
    ],
)
def test_what_is_undefined_is_nan(truth, found, expected):
    scores = score_presence(np.array(truth, bool), 0.2 + 0.6 * np.array(found, np.float32))
    assert list(scores) == ["auc", "f1", "precision", "sensitivity"]
    np.testing.assert_allclose(list(scores.values()), expected)


def test_a_subjects_probabilities_are_saved_with_the_place_of_each_slice(tmp_path):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[2, 3] = -71.5
    image = MetaTensor(torch.ones(1, 2, 2, 4), affine=affine)
    image[..., 3] = 0
    found = torch.arange(8.0).reshape(2, 4) / 8
    saving = SavePresenced("pred", STRUCTURES, output_dir=tmp_path / "out")
    data = {"image": image, "pred": found, "subject": "sub-1"}
    assert saving(data) is data
    assert saving.written == ["sub-1.csv"]
    assert (tmp_path / "out" / "sub-1.csv").read_text().splitlines() == [
        "slice,z_mm,thalamus,brain",
        "0,-71.5,0.0,0.5",
        "1,-69.5,0.125,0.625",
        "2,-67.5,0.25,0.75",
    ]


def test_only_the_first_of_several_processes_scores(entries, tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    evaluate(entries[:1], ScorePresence(entries[:1], STRUCTURES, output_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []
