import copy
import re
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.training import History, fold_threshold, set_operating_point
from monai_transfer.transfer import adapt


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.9])
def test_the_more_probable_class_is_then_the_one_above_the_threshold(threshold: float):
    torch.manual_seed(0)
    network = PathologyUNet(1, 2, filters=2, resolution_steps=2).eval()
    image = torch.rand(1, 1, 8, 8, 8)
    probability = network(image).softmax(dim=1)[0, 1].detach()
    threshold_between = float(probability.quantile(threshold))
    fold_threshold(network, threshold_between)
    lesion = network(image).argmax(dim=1)[0].bool()
    assert torch.equal(lesion, probability > threshold_between)
    assert 0 < lesion.float().mean() < 1


@pytest.mark.parametrize(
    ("classes", "threshold", "message"),
    [
        (2, 0.0, "threshold must lie in (0, 1)"),
        (2, 1.0, "got 1"),
        (4, 0.5, "bias of two, got (4,)"),
    ],
)
def test_what_cannot_be_folded_is_refused(classes: int, threshold: float, message: str):
    with pytest.raises(InputError, match=re.escape(message)):
        fold_threshold(PathologyUNet(1, classes), threshold)


@pytest.mark.parametrize(
    ("threshold", "warned"),
    [(0.05, True), (0.1, False), (0.5, False), (0.998, False), (0.999, True)],
)
def test_a_threshold_at_the_end_of_those_tried_is_warned_of(
    threshold: float, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, warned: bool
):
    network = PathologyUNet(1, 2, filters=2, resolution_steps=2)
    adaptation = adapt(network, strategy="scratch", modalities=["flair"])
    history = History(tmp_path / "history.csv", Engine(lambda engine, batch: None))
    history.rows = {1: {"lesion_auc": 0.5, "threshold": threshold}}
    set_operating_point(adaptation, history)
    said = capsys.readouterr().out
    assert f"lesion above {threshold:g}" in said
    assert ("at the end of those tried, 0.05 to 0.999" in " ".join(said.split())) == warned


def test_the_best_epochs_threshold_is_folded_in(tmp_path: Path):
    network = PathologyUNet(1, 2, filters=2, resolution_steps=2)
    adaptation = adapt(network, strategy="scratch", modalities=["flair"])
    expected = copy.deepcopy(network)
    fold_threshold(expected, 0.2)
    rows = {"lesion_auc": [0.3, 0.7, float("nan"), 0.6], "threshold": [0.4, 0.2, float("nan"), 0.9]}
    history = History(tmp_path / "history.csv", Engine(lambda engine, batch: None))
    columns = zip(rows["lesion_auc"], rows["threshold"], strict=True)
    history.rows = {n: {"lesion_auc": auc, "threshold": t} for n, (auc, t) in enumerate(columns)}
    set_operating_point(adaptation, history)
    assert torch.equal(network.head.output.bias, expected.head.output.bias)
