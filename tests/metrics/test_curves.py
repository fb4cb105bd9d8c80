import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_transfer.errors import InputError
from monai_transfer.metrics.curves import voxel_auc

ORACLES = {"precision_recall": average_precision_score, "roc": roc_auc_score}


def test_the_areas_are_those_computed_by_hand():
    # lesions at 0.9 and 0.3, background at 0.8 and 0.1.
    # precision–recall: recall ½ at precision 1/1, recall 1 at precision 2/3 → ½·1 + ½·2/3 = 5/6
    # ROC: of the 4 pairs (lesion, background) 3 are in order → 3/4
    scores, truth = np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0])
    assert voxel_auc(scores, truth) == pytest.approx(5 / 6)
    assert voxel_auc(scores, truth, curve="roc") == pytest.approx(3 / 4)


@pytest.mark.parametrize("curve", ORACLES)
@pytest.mark.parametrize("levels", [2, 7, 1000, None], ids="{} distinct scores".format)
@pytest.mark.parametrize("lesion_fraction", [0.002, 0.5, 0.998])
def test_counting_voxels_gives_what_scikit_learn_gives_voxel_by_voxel(
    curve, levels, lesion_fraction
):
    rng = np.random.default_rng(0)
    truth = rng.random(5000) < lesion_fraction
    scores = np.clip(rng.random(5000) * 0.8 + 0.2 * truth, 0, 1).astype(np.float32)
    if levels:
        scores = np.round(scores * (levels - 1)) / np.float32(levels - 1)  # ties
    expected = ORACLES[curve](truth, scores)
    assert voxel_auc(scores, truth, curve=curve) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("curve", ORACLES)
def test_subjects_are_pooled_before_the_curve_not_after(curve):
    rng = np.random.default_rng(1)
    truths = [rng.random((5, 6, 7)) < share for share in (0.3, 0.02)]
    scores = [
        rng.random(t.shape) * 0.7 + 0.3 * t + offset
        for t, offset in zip(truths, (0, 0.4), strict=True)
    ]
    pooled = voxel_auc(scores, truths, curve=curve)
    flat = [np.concatenate([a.ravel() for a in arrays]) for arrays in (scores, truths)]
    assert pooled == voxel_auc(*flat, curve=curve)
    each = [voxel_auc(s, t, curve=curve) for s, t in zip(scores, truths, strict=True)]
    assert abs(pooled - np.mean(each)) > 0.01


def test_precision_recall_tells_epochs_apart_where_roc_is_already_near_one():
    # why the default is what it is: one lesion voxel in a hundred, two networks of different worth
    rng = np.random.default_rng(2)
    truth = rng.random(100_000) < 0.01
    noise = rng.normal(size=truth.size)
    early, late = (noise + strength * truth for strength in (3.0, 4.0))
    roc = [voxel_auc(scores, truth, curve="roc") for scores in (early, late)]
    precision_recall = [voxel_auc(scores, truth) for scores in (early, late)]
    assert min(roc) > 0.98
    assert roc[1] - roc[0] < 0.02
    assert precision_recall[1] - precision_recall[0] > 0.2


@pytest.mark.parametrize("curve", ORACLES)
def test_scores_without_information_score_chance(curve):
    truth = np.arange(1000) % 10 == 0
    chance = {"precision_recall": 0.1, "roc": 0.5}[curve]
    assert voxel_auc(np.full(1000, 0.25), truth, curve=curve) == pytest.approx(chance)


@pytest.mark.parametrize("truth", [np.zeros(5), np.ones(5)])
@pytest.mark.parametrize("curve", ORACLES)
def test_the_area_is_undefined_when_a_class_is_absent(truth, curve):
    assert math.isnan(voxel_auc(np.linspace(0, 1, 5), truth, curve=curve))


def test_an_unknown_curve_is_refused_with_its_close_match():
    with pytest.raises(InputError, match=r"curve must be one of .*, got rok\. Did you mean roc"):
        voxel_auc(np.zeros(2), np.ones(2), curve="rok")


def test_no_voxel_at_all_is_undefined_too():
    assert math.isnan(voxel_auc([], []))


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.zeros(3), np.zeros(4), r"as many voxels, got \(3, 4\)"),
        (np.array([0.1, np.nan]), np.array([0, 1]), "scores must be numbers, got NaN"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(scores, truth, message):
    with pytest.raises(InputError, match=message):
        voxel_auc(scores, truth)
