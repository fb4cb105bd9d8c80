import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_transfer.errors import InputError
from monai_transfer.metrics.masks import DEFAULT_METRICS
from monai_transfer.metrics.regions import (
    REGIONS,
    named_regions,
    region_masks,
    score_regions,
)

ISOTROPIC = (1.0, 1.0, 1.0)


def tumour(shape=(14, 12, 10), shift=0):
    """Oedema around core around enhancing, as a label map."""
    labels = np.zeros(shape, np.uint8)
    labels[2 + shift : 9 + shift, 2:9, 2:8] = 2
    labels[3 + shift : 8 + shift, 3:8, 3:7] = 1
    labels[4 + shift : 6 + shift, 4:6, 4:6] = 4
    return labels


def test_brats_regions_are_those_of_the_paper():
    assert REGIONS["brats"] == {"enhancing": (4,), "core": (1, 4), "whole": (1, 2, 4)}
    assert REGIONS["ms"] == {"lesion": (1,)}


def test_region_masks_of_arrays_and_tensors_agree_and_are_nested():
    labels = tumour()
    masks = region_masks(labels, "brats")
    assert masks.dtype == bool
    assert masks.shape == (3, 14, 12, 10)
    assert masks.sum(axis=(1, 2, 3)).tolist() == [2 * 2 * 2, 5 * 5 * 4, 7 * 7 * 6]
    assert not (masks[0] & ~masks[1]).any()
    assert not (masks[1] & ~masks[2]).any()
    tensors = region_masks(torch.from_numpy(labels), "brats")
    assert tensors.dtype == torch.bool
    np.testing.assert_array_equal(tensors.numpy(), masks)


def test_every_region_is_scored_on_its_own_labels():
    # shifted by one along x, where the boxes are 2, 5 and 7 voxels long: shared 1/2, 4/5, 6/7
    scores = score_regions(tumour(shift=1), tumour(), "brats", spacing_mm=ISOTROPIC)
    dice = [scores[region, "dice"] for region in ("enhancing", "core", "whole")]
    assert dice == [1 / 2, 4 / 5, 6 / 7]
    assert list(scores) == [
        (region, metric) for region in REGIONS["brats"] for metric in DEFAULT_METRICS
    ]


def test_labels_confused_within_a_region_do_not_lower_it():
    truth, prediction = tumour(), tumour()
    prediction[prediction == 4] = 1
    scores = score_regions(prediction, truth, "brats", spacing_mm=ISOTROPIC)
    assert scores["core", "dice"] == scores["whole", "dice"] == 1
    assert scores["enhancing", "dice"] == 0
    assert scores["enhancing", "sensitivity"] == 0
    assert math.isnan(scores["enhancing", "precision"])


def test_the_diagonal_is_that_of_the_whole_image_and_brats_own():
    labels = np.zeros((240, 240, 155), np.uint8)
    labels[100, 100, 100] = 2
    scores = score_regions(np.zeros_like(labels), labels, "brats", spacing_mm=ISOTROPIC)
    assert scores["whole", "hd95_mm"] == pytest.approx(373.13, abs=0.005)
    assert math.isnan(scores["core", "hd95_mm"])
    stretched = score_regions(np.zeros_like(labels), labels, "brats", spacing_mm=(1.0, 1.0, 2.0))
    assert stretched["whole", "hd95_mm"] == pytest.approx(math.hypot(240, 240, 310))


def test_two_empty_label_maps_leave_every_score_undefined_and_every_volume_zero():
    empty = np.zeros((5, 6, 7), np.uint8)
    scores = score_regions(empty, empty, "brats", spacing_mm=ISOTROPIC)
    for (_, metric), score in scores.items():
        assert score == 0 if metric.endswith("volume_ml") else math.isnan(score)


def random_pair(seed=0, shape=(12, 13, 11)):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 4], size=shape, p=[0.7, 0.1, 0.1, 0.1])
    prediction = np.where(rng.random(shape) < 0.2, 0, truth)
    return prediction, truth


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_flip_of_both_changes_nothing(axis):
    prediction, truth = random_pair()
    flipped = score_regions(
        np.flip(prediction, axis), np.flip(truth, axis), "brats", spacing_mm=(1.0, 2.0, 3.0)
    )
    assert flipped == score_regions(prediction, truth, "brats", spacing_mm=(1.0, 2.0, 3.0))


def test_axes_and_spacing_permuted_together_change_nothing():
    prediction, truth = random_pair()
    before = score_regions(prediction, truth, "brats", spacing_mm=(1.0, 2.0, 3.0))
    after = score_regions(
        prediction.transpose(2, 0, 1), truth.transpose(2, 0, 1), "brats", spacing_mm=(3.0, 1.0, 2.0)
    )
    assert after == pytest.approx(before)


def test_spacing_scales_distance_and_volume_but_no_overlap():
    prediction, truth = random_pair(1)
    one = score_regions(prediction, truth, "brats", spacing_mm=ISOTROPIC)
    two = score_regions(prediction, truth, "brats", spacing_mm=(2.0, 2.0, 2.0))
    for (region, metric), score in one.items():
        factor = {"hd95_mm": 2, "truth_volume_ml": 8, "prediction_volume_ml": 8}.get(metric, 1)
        assert two[region, metric] == pytest.approx(factor * score)


def test_the_order_of_regions_and_of_values_only_orders_the_answer():
    prediction, truth = random_pair()
    usual = score_regions(prediction, truth, "brats", spacing_mm=ISOTROPIC)
    reordered = {"whole": [4, 2, 1], "enhancing": [4], "core": [4, 1]}
    scores = score_regions(prediction, truth, reordered, spacing_mm=ISOTROPIC)
    assert scores == usual
    assert next(iter(scores))[0] == "whole"


@pytest.mark.parametrize("padding", [0, 1, 7])
def test_background_around_the_labels_changes_nothing(padding):
    prediction, truth = random_pair()
    padded = [np.pad(labels, padding) for labels in (prediction, truth)]
    assert score_regions(*padded, "brats", spacing_mm=ISOTROPIC) == score_regions(
        prediction, truth, "brats", spacing_mm=ISOTROPIC
    )


@pytest.mark.parametrize(
    "convert",
    [
        lambda labels: labels.astype(np.float32),
        np.asfortranarray,
        torch.from_numpy,
        lambda labels: MetaTensor(torch.from_numpy(labels.astype(np.float32))),
    ],
    ids=["float", "fortran", "tensor", "metatensor"],
)
def test_the_kind_of_array_does_not_matter(convert):
    prediction, truth = random_pair()
    scores = score_regions(convert(prediction), truth, "brats", spacing_mm=ISOTROPIC)
    assert scores == score_regions(prediction, truth, "brats", spacing_mm=ISOTROPIC)


def test_a_boolean_mask_is_a_label_map_of_ones():
    prediction, truth = (labels == 4 for labels in random_pair())
    scores = score_regions(prediction, truth, "ms", spacing_mm=ISOTROPIC)
    shared = (prediction & truth).sum()
    assert scores["lesion", "dice"] == 2 * shared / (prediction.sum() + truth.sum())


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ("brat", r"name must be one of brats, ms, got brat\. Did you mean brats"),
        ({}, "mapping must name at least one region"),
        ({"core": []}, r"'core' must list label values .* above 0, got \[\]"),
        ({"core": [0, 1]}, r"'core' must .* above 0, got \[0, 1\]"),
        ({"core": [True]}, "'core' must .* whole numbers"),
    ],
)
def test_impossible_regions_are_refused(regions, message):
    with pytest.raises(InputError, match=message):
        named_regions(regions)


@pytest.mark.parametrize(
    ("value", "shown"), [(3, "3"), (-1, "-1"), (0.999, "0.999"), (np.nan, "nan")]
)
@pytest.mark.parametrize("culprit", ["prediction", "truth"])
def test_a_label_of_no_region_is_refused_with_subject_and_value(value, shown, culprit):
    maps = {"prediction": tumour().astype(float), "truth": tumour().astype(float)}
    maps[culprit][0, 0, 0] = value
    message = rf"sub-07: {culprit}: labels must be one of 0, 1, 2, 4, got {shown}"
    with pytest.raises(InputError, match=message):
        score_regions(**maps, regions="brats", spacing_mm=ISOTROPIC, subject="sub-07")


@pytest.mark.parametrize(
    ("prediction", "truth", "spacing_mm", "message"),
    [
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), ISOTROPIC, "have the same shape .*3"),
        (np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 2)), ISOTROPIC, r"shape \(x, y, z\).*channel"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), (1.0, 1.0), "spacing_mm must be three"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), (1.0, 0.0, 1.0), "numbers above 0"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), (1.0, math.nan, 1.0), "finite"),
    ],
)
def test_grids_that_do_not_fit_are_refused(prediction, truth, spacing_mm, message):
    with pytest.raises(InputError, match=message):
        score_regions(prediction, truth, "ms", spacing_mm=spacing_mm)
