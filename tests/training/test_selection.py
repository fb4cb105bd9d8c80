import math

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.metrics import score_regions, voxel_auc
from monai_transfer.training import LesionAUC, RegionDice, label_map

VALUES = [0, 1, 2, 4]
REGIONS = {"enhancing": [4], "core": [1, 4], "whole": [1, 2, 4]}


def drawn(seed: int, classes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of all four classes (4, 6, 7, 5), and class indices (1, 6, 7, 5) of some."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 6, 7, 5, generator=generator)
    for absent in set(range(1, 4)) - set(classes):
        logits[absent] = -100
    pick = torch.randint(0, len(classes) + 1, (1, 6, 7, 5), generator=generator)
    return logits, torch.tensor([0, *classes])[pick].to(torch.uint8)


COHORT = [drawn(0, (1, 2, 3)), drawn(1, (1, 2)), drawn(2, (2,)), drawn(3, (1, 2, 3))]
"""Of four subjects two have no enhancing tumour, and one no core: neither true nor predicted."""


def by_hand() -> dict[str, float]:
    """Mean over subjects, by region, from the label maps."""
    values = np.array(VALUES)
    scores = [
        score_regions(
            values[logits.argmax(0).numpy()],
            values[label[0].numpy()],
            REGIONS,
            spacing_mm=(1, 1, 1),
        )
        for logits, label in COHORT
    ]
    return {r: float(np.nanmean([s[r, "dice"] for s in scores])) for r in REGIONS}


def evaluate(batch_size: int, subjects, **metrics) -> dict[str, float]:
    """What an evaluator of MONAI's reports when the network says what the image holds."""
    data = [{"image": MetaTensor(logits), "label": MetaTensor(label)} for logits, label in subjects]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=batch_size),
        network=nn.Identity(),
        key_val_metric=metrics,
    )
    evaluator.run()
    return evaluator.state.metrics


def test_label_map_is_the_value_of_the_most_probable_class():
    logits = torch.tensor([[3.0, 0, 0, 1], [1, 2, 0, 1], [0, 1, 5, 0]]).reshape(3, 1, 2, 2)
    labels = label_map(logits, [0, 4, 2])
    assert labels.flatten().tolist() == [0, 4, 2, 0]  # a tie goes to the first class
    assert labels.dtype == torch.uint8
    assert labels.shape == (1, 2, 2)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_region_dice_in_an_evaluator_is_the_mean_of_the_subjects_scores(batch_size):
    metrics = evaluate(batch_size, COHORT, mean_dice=RegionDice(REGIONS, VALUES))
    expected = by_hand()
    assert len(set(expected.values())) == 3
    for region, dice in expected.items():
        assert metrics[f"dice_{region}"] == pytest.approx(dice)
    assert metrics["mean_dice"] == pytest.approx(np.mean(list(expected.values())))


def test_a_region_that_nobody_has_is_left_out_of_the_mean():
    metrics = evaluate(1, [COHORT[2]], mean_dice=RegionDice(REGIONS, VALUES))
    assert math.isnan(metrics["dice_enhancing"])
    assert math.isnan(metrics["dice_core"])
    assert metrics["mean_dice"] == metrics["dice_whole"] > 0


def test_a_false_alarm_counts_as_zero():
    logits, label = COHORT[0]
    metric = RegionDice(REGIONS, VALUES)
    metric.update([{"pred": logits, "label": torch.zeros_like(label)}])
    assert metric.by_region() == {"enhancing": 0.0, "core": 0.0, "whole": 0.0}


def test_without_any_defined_score_the_metric_is_zero():
    metric = RegionDice(REGIONS, VALUES)
    assert metric.compute() == 0.0
    empty = torch.full((4, 2, 2, 2), -1.0)
    empty[0] = 1
    metric.update([{"pred": empty, "label": torch.zeros(1, 2, 2, 2)}])
    assert metric.compute() == 0.0


def test_each_run_starts_anew():
    metric = RegionDice(REGIONS, VALUES)
    for logits, label in (COHORT[0], COHORT[3]):
        metric.reset()
        metric.update([{"pred": logits, "label": label}])
    again = RegionDice(REGIONS, VALUES)
    again.update([dict(zip(("pred", "label"), COHORT[3], strict=True))])
    assert metric.compute() == again.compute()


def lesions(seed: int, share: float) -> dict[str, torch.Tensor]:
    """An image with a background, logits of two classes, class indices."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 5, 6, 7, generator=generator) + 0.1
    image[:, :2] = 0  # outside the brain
    image[0, 3:] = 0  # in one modality only: still brain
    label = (torch.rand(1, 5, 6, 7, generator=generator) < share).to(torch.uint8)
    logits = torch.randn(2, 5, 6, 7, generator=generator)
    logits[1] += 1.5 * label[0]
    return {"image": image, "pred": logits, "label": label}


@pytest.mark.parametrize("curve", ["precision_recall", "roc"])
def test_lesion_auc_pools_the_brain_voxels_of_all_subjects(curve):
    output = [lesions(0, 0.1), lesions(1, 0.3), lesions(2, 0.0)]
    metric = LesionAUC(curve)
    metric.update(output[:2])
    metric.update(output[2:])
    probability, truth = [], []
    for subject in output:
        lesion = torch.sigmoid(subject["pred"][1].double() - subject["pred"][0].double())
        probability.append(lesion[2:].flatten())
        truth.append(subject["label"][0, 2:].flatten())
    expected = voxel_auc(torch.cat(probability).numpy(), torch.cat(truth).numpy() > 0, curve=curve)
    assert metric.compute() == pytest.approx(expected, abs=1e-6)
    assert 0.2 < expected < 0.95


def test_what_is_predicted_outside_the_brain_does_not_matter():
    output = lesions(0, 0.2)
    areas = []
    for logit in (-50.0, 50.0):
        output["pred"][1, :2] = logit
        metric = LesionAUC()
        metric.update([output])
        areas.append(metric.compute())
    assert areas[0] == areas[1]


def test_the_lesion_probability_is_that_of_all_lesion_classes():
    # voxel 1: lesion .6 split in two, background .4; voxel 2: .5 in one class, background .5
    probability = torch.tensor([[0.4, 0.5], [0.3, 0.5], [0.3, 1e-9]])
    metric = LesionAUC("roc")
    output = {"image": torch.ones(1, 2, 1, 1), "label": torch.tensor([[[[2]], [[0]]]])}
    metric.update([output | {"pred": probability.log().reshape(3, 2, 1, 1)}])
    assert metric.compute() == 1.0


def test_probabilities_close_to_zero_still_have_an_order():
    logits = torch.zeros(2, 3, 1, 1)
    logits[1, :, 0, 0] = torch.tensor([-25.0, -30.0, -35.0])  # 1 − background would be 0, 0, 0
    output = {"image": torch.ones(1, 3, 1, 1), "label": torch.tensor([[[[1]], [[0]], [[0]]]])}
    metric = LesionAUC()
    metric.update([output | {"pred": logits}])
    assert metric.compute() == 1.0


def test_lesion_auc_works_in_an_evaluator_beside_region_dice():
    class Network(nn.Module):
        def forward(self, image):
            return torch.cat([torch.full_like(image[:, :1], 0.5), image[:, :1]], dim=1)

    subject = lesions(1, 0.3)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([subject, lesions(2, 0.2)]), batch_size=2),
        network=Network(),
        key_val_metric={"lesion_auc": LesionAUC()},
        additional_metrics={"mean_dice": RegionDice({"lesion": [1]}, [0, 1])},
    )
    evaluator.run()
    assert set(evaluator.state.metrics) == {
        "lesion_auc",
        "threshold",
        "dice_at_threshold",
        "mean_dice",
        "dice_lesion",
    }
    assert 0 < evaluator.state.metrics["lesion_auc"] < 1
    assert 0 < evaluator.state.metrics["mean_dice"] < 1


def test_an_undefined_area_is_zero():
    metric = LesionAUC()
    assert metric.compute() == 0.0
    metric.update([lesions(0, 0.0)])
    assert metric.compute() == 0.0


def test_a_network_that_has_lost_its_mind_is_not_scored():
    output = lesions(0, 0.2)
    output["pred"][0, 3] = math.nan
    metric = LesionAUC()
    metric.update([output])
    with pytest.raises(InputError, match="scores must be numbers, got NaN"):
        metric.compute()


def test_an_unknown_curve_is_refused_before_the_first_epoch():
    with pytest.raises(InputError, match=r"curve must be one of .*, got rok\. Did you mean roc"):
        LesionAUC("rok")
