"""Auto-encoders on MONAI's evaluator: what chooses the epoch, table and picture of a test."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from torch import nn

from monai_transfer.metrics import read_csv, score_reconstruction
from monai_transfer.training import ReconstructionSSIM, ScoreReconstructions, console


class Noisy(nn.Module):
    """Restores an image but for a shift that each subject tells by its corner."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + image[:, :, :1, :1, :1]


def volume(shift: float, seed: int) -> torch.Tensor:
    image = torch.zeros(1, 20, 24, 3)
    random = torch.Generator().manual_seed(seed)
    image[:, 5:15, 6:20, 1:] = 0.3 + 0.4 * torch.rand(1, 10, 14, 2, generator=random)
    image[0, 0, 0, 0] = shift
    return image


SHIFTS = {"sub-a": 0.2, "sub-b": 0.05, "sub-c": 0.1}
DATA = [
    {"image": volume(shift, i), "subject": name} for i, (name, shift) in enumerate(SHIFTS.items())
]


def evaluator(**options) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(DATA, batch_size=1),
        network=Noisy(),
        **options,
    )


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a test, and what it printed."""
    folder = tmp_path_factory.mktemp("test")
    entries = [{"subject": name, "group": name[-1]} for name in SHIFTS]
    with console.capture() as said:
        evaluator(val_handlers=[ScoreReconstructions(entries, output_dir=folder)]).run()
    return folder, said.get()


def test_the_epoch_is_chosen_by_the_mean_similarity_with_the_distance_beside_it():
    engine = evaluator(key_val_metric={"ssim": ReconstructionSSIM()})
    engine.run()
    scores = [score_reconstruction(Noisy()(d["image"][None])[0], d["image"]) for d in DATA]
    for name in ("ssim", "l1"):
        expected = np.mean([score[name] for score in scores])
        assert engine.state.metrics[name] == pytest.approx(expected)
    assert engine.state.best_metric == engine.state.metrics["ssim"]


def test_an_empty_image_is_left_out_and_nothing_but_empty_images_is_the_worst():
    metric, empty = ReconstructionSSIM(), torch.zeros(1, 16, 16, 2)
    metric.update([{"image": empty, "pred": empty}])
    assert metric.compute() == 0.0
    image = torch.full((1, 16, 16, 2), 0.5)
    metric.update([{"image": image, "pred": image}])
    assert metric.compute() == pytest.approx(1.0)


def test_the_table_has_a_row_for_each_subject(tested: tuple[Path, str]):
    frame = read_csv(tested[0] / "metrics.csv")
    assert list(frame.columns) == ["subject", "group", "region", "ssim", "psnr_db", "l1"]
    assert frame["subject"].tolist() == list(SHIFTS)
    assert frame["group"].tolist() == ["a", "b", "c"]
    assert set(frame["region"]) == {"brain"}
    assert frame["l1"].tolist() == pytest.approx(list(SHIFTS.values()), rel=1e-4)
    assert "SSIM" in tested[1]
    assert "3 subjects, mean" in tested[1]


def test_the_picture_shows_best_median_and_worst_in_this_order(tested: tuple[Path, str]):
    """Too bright is orange, and the more the worse: column three, from top to bottom."""
    picture = imread(tested[0] / "reconstructions.png")[..., :3]
    rows, columns = picture.shape[0] / 3, picture.shape[1] / 3
    right = picture[:, int(2 * columns) :]
    red = [
        right[int(row * rows) : int((row + 1) * rows), :, 0].max(
            where=_no_text(right, row, rows), initial=0
        )
        for row in range(3)
    ]
    assert red[0] < red[1] < red[2]


def _no_text(right: np.ndarray, row: int, rows: float) -> np.ndarray:
    """Pixels that are no grey of a letter."""
    part = right[int(row * rows) : int((row + 1) * rows)]
    return np.ptp(part, axis=2) > 0.02
