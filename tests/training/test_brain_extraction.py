import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_transfer.imaging.brain.network import BrainUNet
from monai_transfer.simulation.head_labels import LABELS, HeadLabels
from monai_transfer.training import brain_extraction
from monai_transfer.training.brain_extraction import read_label_maps, train_brain_extraction


@pytest.fixture(scope="module")
def ball() -> HeadLabels:
    """A ball of white matter in a shell of fat."""
    place = np.indices((90, 110, 90)) - np.reshape([45, 55, 45], (3, 1, 1, 1))
    radius_mm = 2.0 * np.linalg.norm(place, axis=0)
    labels = np.zeros(radius_mm.shape, np.uint8)
    labels[radius_mm < 85] = list(LABELS).index("fat")
    labels[radius_mm < 65] = list(LABELS).index("wm")
    return HeadLabels(labels, radius_mm < 65, 2.0)


def test_the_loss_falls_and_a_seed_gives_one_network(ball):
    losses: list[float] = []
    network = train_brain_extraction([ball], 12, report=lambda step, loss: losses.append(loss))
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    assert not network.training
    same = train_brain_extraction([ball], 2, seed=4).state_dict()
    again = train_brain_extraction([ball], 2, seed=4).state_dict()
    assert all(torch.equal(same[name], again[name]) for name in same)


@pytest.mark.parametrize("steps", [1, 10])
def test_any_number_of_steps_is_trained(steps: int, monkeypatch: pytest.MonkeyPatch, ball):
    still = np.zeros((16, 16, 16), np.float32)
    monkeypatch.setattr(brain_extraction, "draw_pair", lambda rng, head: (still, still))
    monkeypatch.setattr(brain_extraction, "normalised", lambda image: image)
    losses: list[float] = []
    train_brain_extraction([ball], steps, report=lambda step, loss: losses.append(loss))
    assert len(losses) == steps
    assert np.isfinite(losses).all()


def test_label_maps_are_turned_and_thinned(tmp_path: Path):
    labels = np.zeros((8, 10, 12), np.int32)
    labels[2:6, 2:8, 4:10] = 2
    labels[2:4, 2:4, 4] = 8  # cerebellum: left, behind, below
    stored = nib.Nifti1Image(labels, np.diag([1.0, 1.0, 1.0, 1.0]))
    turned = stored.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    nib.save(turned, tmp_path / "sub-1_dseg.nii.gz")
    (head,) = read_label_maps(tmp_path)
    assert head.labels.shape == (4, 5, 6)
    assert head.labels[1, 1, 2] == list(LABELS).index("gm")


def test_the_command_writes_weights_that_load_and_how_they_were_made(tmp_path, monkeypatch, ball):
    monkeypatch.setattr(brain_extraction, "draw_head_labels", lambda rng: ball)
    monkeypatch.setattr(
        sys, "argv", ["brain_extraction", str(tmp_path / "w.pt"), "--steps", "2", "--heads", "1"]
    )
    brain_extraction.main()
    weights = torch.load(tmp_path / "w.pt", weights_only=True)
    BrainUNet().load_state_dict(weights)
    record = json.loads((tmp_path / "w.json").read_text())
    assert record["steps"] == 2
    assert record["simulated_heads"] == 1
    assert record["label_maps"] == 0
