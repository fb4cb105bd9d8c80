import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU

from monai_transfer.errors import InputError
from monai_transfer.metrics import region_masks, score_regions
from monai_transfer.metrics.slices import slice_counts, slice_summary

CLASSES = {"csf": [1], "grey": [2], "white": [3]}


def means(*pairs, regions="ms"):
    """(metric, unit, empty) → mean and n."""
    rows = slice_summary([slice_counts(*pair, regions) for pair in pairs]).itertuples()
    return {(row.metric, row.unit, row.empty): (row.mean, row.n) for row in rows}


def slices(*pictures):
    """A label map of 1×4 axial slices, each given as text."""
    return np.array([[[int(row[y]) for row in pictures] for y in range(4)]])


def random_pair(seed, labels=4, shape=(6, 7, 12)):
    """Label maps with slices that are empty in one, in the other, in both; classes too."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, shape)
    prediction = np.where(rng.random(shape) < 0.3, rng.integers(0, labels, shape), truth)
    truth[..., [0, 1, 5]] = prediction[..., [0, 2, 6]] = 0
    truth[..., 8:] %= labels - 1
    return prediction, truth


def test_the_means_are_those_counted_by_hand():
    truth = slices("1100", "0000", "0000", "1111")
    prediction = slices("1000", "0000", "0100", "1111")
    # Dice by slice: 2·1/(2 + 1) = 2/3, nothing, 0, 1; IoU 1/2, nothing, 0, 1
    # as a volume: shared 5, truth 6, predicted 6
    assert means((prediction, truth)) == {
        ("dice", "slice", "skip"): (pytest.approx((2 / 3 + 0 + 1) / 3), 3),
        ("dice", "slice", "one"): (pytest.approx((2 / 3 + 1 + 0 + 1) / 4), 4),
        ("dice", "subject", "skip"): (10 / 12, 1),
        ("dice", "subject", "one"): (10 / 12, 1),
        ("iou", "slice", "skip"): (pytest.approx((1 / 2 + 0 + 1) / 3), 3),
        ("iou", "slice", "one"): (pytest.approx((1 / 2 + 1 + 0 + 1) / 4), 4),
        ("iou", "subject", "skip"): (5 / 7, 1),
        ("iou", "subject", "one"): (5 / 7, 1),
    }


def test_every_slice_of_the_cohort_weighs_the_same():
    good = slices("1100"), slices("1100")
    bad = slices("0010", "0010", "0010"), slices("1100", "1100", "1100")
    assert means(good, bad)["dice", "slice", "skip"] == (1 / 4, 4)
    assert means(good, bad)["dice", "subject", "skip"] == (1 / 2, 2)


def test_marking_nothing_scores_the_share_of_slices_without_lesion_when_they_count_as_one():
    truth = slices("0000", "0110", "0000", "0000")
    scores = means((np.zeros_like(truth), truth))
    assert scores["dice", "slice", "one"] == (3 / 4, 4)
    assert scores["dice", "slice", "skip"] == (0, 1)


def test_a_slice_scores_the_mean_of_its_regions():
    truth, prediction = slices("1120"), slices("1020")
    # csf: shared 1 of 2 and 1, IoU 1/2; grey 1; white is in neither
    scores = means((prediction, truth), regions=CLASSES)
    assert scores["iou", "slice", "skip"] == ((1 / 2 + 1) / 2, 1)
    assert scores["iou", "slice", "one"] == (pytest.approx((1 / 2 + 1 + 1) / 3), 1)


def by_monai(metric, prediction, truth, regions):
    """Score of each slice and region, (z, regions); 1 where both are empty, 0 where one is."""
    batch = (
        torch.from_numpy(region_masks(labels, regions)).permute(3, 0, 1, 2).float()
        for labels in (prediction, truth)
    )
    return metric(*batch).numpy().astype(float)


@pytest.mark.parametrize("regions", ["ms", CLASSES], ids=["binary", "classes"])
@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("dice", DiceMetric(include_background=True, ignore_empty=False)),
        ("iou", MeanIoU(include_background=True, ignore_empty=False)),
    ],
)
def test_the_means_agree_with_monai_slice_by_slice(name, metric, regions):
    pairs = [random_pair(seed, labels=2 if regions == "ms" else 4) for seed in range(3)]
    theirs = np.concatenate([by_monai(metric, *pair, regions) for pair in pairs])
    # MONAI gives 1 where both are empty, and that is all the two conventions differ in
    present = np.concatenate(
        [
            region_masks(p, regions).any((1, 2)) | region_masks(t, regions).any((1, 2))
            for p, t in pairs
        ],
        axis=1,
    ).T
    ours = means(*pairs, regions=regions)
    assert ours[name, "slice", "one"] == (pytest.approx(theirs.mean(), rel=1e-6), len(theirs))
    kept = present.any(axis=1)
    by_slice = np.where(present, theirs, 0).sum(1)[kept] / present.sum(1)[kept]
    assert ours[name, "slice", "skip"] == (pytest.approx(by_slice.mean(), rel=1e-6), kept.sum())
    assert 0 < kept.sum() < len(theirs)


def test_whole_volumes_score_as_the_table_of_metrics_has_it():
    pairs = [random_pair(seed) for seed in range(3)]
    scores = [score_regions(*p, CLASSES, spacing_mm=(1.0,) * 3) for p in pairs]
    for metric in ("dice", "iou"):
        expected = np.mean([s[region, metric] for s in scores for region in CLASSES])
        assert means(*pairs, regions=CLASSES)[metric, "subject", "skip"][0] == pytest.approx(
            expected
        )


def test_swapping_truth_and_prediction_or_the_order_of_subjects_changes_nothing():
    pairs = [random_pair(seed) for seed in range(2)]
    usual = means(*pairs, regions=CLASSES)
    assert means(*(pair[::-1] for pair in pairs), regions=CLASSES) == usual
    reordered = means(*pairs[::-1], regions=CLASSES)
    assert {key: pytest.approx(value) for key, value in reordered.items()} == usual


def test_a_cohort_without_lesions_has_no_mean_or_a_perfect_one():
    empty = np.zeros((3, 3, 5), int)
    scores = means((empty, empty))
    assert math.isnan(scores["dice", "slice", "skip"][0])
    assert scores["dice", "slice", "skip"][1] == 0
    assert scores["dice", "slice", "one"] == (1, 5)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (slices("1100", "1100"), "sub-1: prediction and truth must have the same shape"),
        (slices("1130"), "sub-1: prediction: labels must be one of 0, 1, got 3"),
    ],
)
def test_label_maps_that_do_not_fit_are_refused(prediction, message):
    with pytest.raises(InputError, match=message):
        slice_counts(prediction, slices("1100"), "ms", subject="sub-1")


def test_a_summary_needs_subjects():
    with pytest.raises(InputError, match="subjects must hold at least one"):
        slice_summary([])
