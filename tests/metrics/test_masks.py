import math
import re

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, HausdorffDistanceMetric
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.metrics import masks
from monai_transfer.metrics.masks import (
    DEFAULT_METRICS,
    EMPTY_MASKS,
    METRICS,
    named_metrics,
    score_masks,
)

ISOTROPIC = (1.0, 1.0, 1.0)


def mask(*voxels, shape=(6, 6, 6)):
    result = torch.zeros(shape, dtype=torch.bool)
    for voxel in voxels:
        result[voxel] = True
    return result


def blobs(seed, shape=(18, 20, 16)):
    """Two smooth random shapes that overlap in part."""
    rng = np.random.default_rng(seed)
    shared, *own = (ndimage.gaussian_filter(rng.normal(size=shape), 2.5) for _ in range(3))
    return [torch.from_numpy((shared + 0.7 * field) > 0.08) for field in own]


def hd95_by_distance_transform(prediction, truth, spacing_mm):
    """HD95 a second way: SciPy's Euclidean distance transform, sampled at the edge voxels."""
    edges = [m ^ ndimage.binary_erosion(m) for m in (prediction.numpy(), truth.numpy())]
    to_edge = [ndimage.distance_transform_edt(~edge, sampling=spacing_mm) for edge in edges]
    return max(
        np.percentile(to_edge[1][edges[0]], 95),
        np.percentile(to_edge[0][edges[1]], 95),
    )


def test_overlap_scores_are_those_counted_by_hand():
    # truth: 4 voxels, prediction: 3, shared: 2 → TP 2, FP 1, FN 2
    truth = mask((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3))
    prediction = mask((0, 0, 2), (0, 0, 3), (0, 0, 4))
    scores = score_masks(prediction, truth, spacing_mm=(1.0, 2.0, 3.0), diagonal_mm=99.0)
    assert scores["dice"] == 2 * 2 / (2 * 2 + 1 + 2)  # 4/7
    assert scores["iou"] == 2 / (2 + 1 + 2)
    assert scores["sensitivity"] == 2 / 4
    assert scores["precision"] == 2 / 3
    assert scores["truth_volume_ml"] == pytest.approx(4 * 6 / 1000)  # voxels of 1·2·3 mm³
    assert scores["prediction_volume_ml"] == pytest.approx(3 * 6 / 1000)


def test_hd95_is_the_distance_in_mm_between_two_voxels():
    # 3 voxels of 2 mm in x and 4 of 0.5 mm in z: √(6² + 2²)
    scores = score_masks(
        mask((4, 1, 5)), mask((1, 1, 1)), spacing_mm=(2.0, 1.0, 0.5), diagonal_mm=99.0
    )
    assert scores["hd95_mm"] == pytest.approx(math.sqrt(40))


def test_hd95_is_the_larger_of_the_two_directed_percentiles():
    # From the one truth voxel, the line 0…5 is 0 mm away. From the line's six voxels, the truth
    # voxel is 0, 1, 2, 3, 4, 5 mm away: their 95th percentile is at 0.95·5 = 4.75. The percentile
    # of both sets together, (0, 0, 1, 2, 3, 4, 5), would be at 0.95·6 = 5.7, that is 4.7.
    scores = score_masks(
        mask(*((i, 2, 2) for i in range(6))),
        mask((0, 2, 2)),
        spacing_mm=ISOTROPIC,
        diagonal_mm=99.0,
    )
    assert scores["hd95_mm"] == pytest.approx(4.75)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spacing_mm", [ISOTROPIC, (0.7, 1.2, 3.0)])
def test_hd95_agrees_with_the_distance_transform(seed, spacing_mm):
    prediction, truth = blobs(seed)
    scores = score_masks(prediction, truth, spacing_mm=spacing_mm, diagonal_mm=99.0)
    by_hand = hd95_by_distance_transform(prediction, truth, spacing_mm)
    assert by_hand > 0
    assert scores["hd95_mm"] == pytest.approx(by_hand, rel=1e-5)  # MONAI's are 32-bit floats


def test_a_perfect_prediction_scores_one_and_zero_mm():
    _, truth = blobs(0)
    scores = score_masks(truth, truth, spacing_mm=ISOTROPIC, diagonal_mm=99.0)
    assert [scores[m] for m in METRICS[:5]] == [1.0, 1.0, 0.0, 1.0, 1.0]


def test_swapping_the_masks_swaps_sensitivity_and_precision_only():
    prediction, truth = blobs(1)
    one = score_masks(prediction, truth, spacing_mm=ISOTROPIC, diagonal_mm=99.0)
    other = score_masks(truth, prediction, spacing_mm=ISOTROPIC, diagonal_mm=99.0)
    assert one["sensitivity"] != one["precision"]
    assert (one["sensitivity"], one["precision"]) == (other["precision"], other["sensitivity"])
    assert (one["dice"], one["iou"], one["hd95_mm"]) == (
        other["dice"],
        other["iou"],
        other["hd95_mm"],
    )


def test_only_the_metrics_asked_for_are_computed_in_their_order(monkeypatch):
    def never(*_, **__):
        raise AssertionError("the costly distance was computed")

    monkeypatch.setattr(masks, "compute_hausdorff_distance", never)
    prediction, truth = blobs(0)
    scores = score_masks(
        prediction, truth, spacing_mm=ISOTROPIC, diagonal_mm=9.0, metrics=["precision", "dice"]
    )
    assert list(scores) == ["precision", "dice"]


def test_an_unknown_metric_is_refused_with_its_close_match():
    with pytest.raises(InputError, match=r"metric must be one of .*, got hd95\. .*hd95_mm"):
        score_masks(mask(), mask(), spacing_mm=ISOTROPIC, diagonal_mm=9.0, metrics=["hd95"])


DIAGONAL_MM = 12.5
DOCUMENTED = {"n/a": math.nan, "diagonal": DIAGONAL_MM, "0": 0.0, "1": 1.0}


SCORES = [metric for metric in METRICS if not metric.endswith("_ml")]


def documented_cases():
    """The columns of the table in the module's docstring: what is empty, and each score then."""
    lines = [re.split(r"\s{2,}", line) for line in masks.__doc__.splitlines()]
    rows = [line for line in lines if line[0] in ("truth", "prediction", *METRICS)]
    names, *cases = zip(*rows, strict=True)
    return [dict(zip(names, case, strict=True)) for case in cases]


def test_the_documented_table_has_every_case_and_metric():
    cases = documented_cases()
    assert {(c["truth"] == "present", c["prediction"] == "present") for c in cases} == set(
        EMPTY_MASKS
    )
    assert all(tuple(case)[2:] == tuple(SCORES) for case in cases)


@pytest.mark.parametrize(
    "case", documented_cases(), ids=lambda c: f"{c['truth']}-{c['prediction']}"
)
def test_an_empty_mask_scores_what_the_documented_table_says(case):
    there = mask((1, 2, 3), (1, 2, 4), (1, 2, 5))
    truth, prediction = (
        there if case[what] == "present" else mask() for what in ("truth", "prediction")
    )
    scores = score_masks(
        prediction, truth, spacing_mm=ISOTROPIC, diagonal_mm=DIAGONAL_MM, metrics=METRICS
    )
    for metric in SCORES:
        expected = DOCUMENTED[case[metric]]
        assert scores[metric] == pytest.approx(expected, nan_ok=True), metric
    assert scores["truth_volume_ml"] == 0.003 * (case["truth"] == "present")
    assert scores["prediction_volume_ml"] == 0.003 * (case["prediction"] == "present")
    difference_ml = scores["prediction_volume_ml"] - scores["truth_volume_ml"]
    assert scores["volume_difference_ml"] == difference_ml


def test_lesions_below_the_volume_cut_off_are_absent_to_the_lesion_scores():
    lesion = ["lesion_recall", "lesion_precision", "lesion_f1"]
    small, large = mask((1, 2, 3)), mask((1, 2, 3), (1, 2, 4), (1, 2, 5))

    def scores(prediction, truth, spacing_mm=ISOTROPIC):
        options = {"spacing_mm": spacing_mm, "diagonal_mm": 9.0, "metrics": lesion}
        return list(score_masks(prediction, truth, **options).values())

    na = math.nan
    assert scores(small, small) == pytest.approx([na, na, na], nan_ok=True)
    assert scores(small, small, (1.0, 1.0, 3.0)) == [1, 1, 1]  # of 3 mm³
    # found, and on a lesion: what is left undefined cannot be averaged with the other
    assert scores(small, large) == pytest.approx([1, na, na], nan_ok=True)
    assert scores(large, small) == pytest.approx([na, 1, na], nan_ok=True)


def test_the_volume_difference_is_signed_in_ml_and_absolute_as_a_fraction_of_the_truth():
    four = mask(*((0, 0, z) for z in range(4)))
    one = mask((5, 5, 5))
    wanted = ("volume_difference_ml", "absolute_volume_difference_fraction")
    options = {"spacing_mm": (1.0, 2.0, 3.0), "diagonal_mm": 9.0, "metrics": wanted}
    less, more = score_masks(one, four, **options), score_masks(four, one, **options)
    assert less[wanted[0]] == pytest.approx(-3 * 6 / 1000)
    assert less[wanted[1]] == 3 / 4
    assert more[wanted[0]] == pytest.approx(3 * 6 / 1000)
    assert more[wanted[1]] == 3 / 1


def test_metrics_are_checked_by_name():
    assert named_metrics(["lesion_f1", "dice"]) == ("lesion_f1", "dice")
    with pytest.raises(InputError, match=r"test: metric must be .*got lesion_f2.*lesion_f1"):
        named_metrics(["dice", "lesion_f2"], where="test")


def test_lesion_scores_cost_nothing_unless_asked_for(monkeypatch):
    assert METRICS[:7] == DEFAULT_METRICS
    monkeypatch.delattr(masks, "lesion_overlaps")  # calling it would be an error
    assert tuple(score_masks(*blobs(0), spacing_mm=ISOTROPIC, diagonal_mm=9.0)) == DEFAULT_METRICS


@pytest.mark.filterwarnings("ignore:.*all 0", "ignore:.*always_return_as_numpy")
def test_what_is_said_of_monai_on_empty_masks_is_so():
    empty, there = mask()[None, None].float(), mask((1, 2, 3))[None, None].float()
    false_positive, missed = (there, empty), (empty, there)
    assert DiceMetric()(*false_positive).isnan().all()
    assert DiceMetric(ignore_empty=False)(empty, empty).item() == 1
    distance = HausdorffDistanceMetric(percentile=95, include_background=True)
    for pair in (false_positive, missed, (empty, empty)):
        assert distance(*pair).isnan().all()
    distance(there, there)
    assert distance.aggregate() == 0  # the mean of four: the missed one left no trace in it
