import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from monai_transfer.errors import InputError
from monai_transfer.metrics.detection import (
    LesionDetection,
    detect_lesions,
    detection_curve,
)
from monai_transfer.metrics.lesions import lesion_overlaps

ISOTROPIC = (1.0, 1.0, 1.0)
MATCHINGS = ("many_to_one", "one_to_one")


def boxes(*spans, shape=(12, 12, 12)):
    """A mask of boxes, each given as its slice along x, y and z."""
    result = np.zeros(shape, bool)
    for span in spans:
        result[tuple(slice(*ends) for ends in span)] = True
    return result


def detect(prediction, truth, **rules):
    overlaps = lesion_overlaps(prediction, truth, spacing_mm=ISOTROPIC)
    return detect_lesions(overlaps, **{"volume_cutoff_ml": 0.0} | rules)


def counts(prediction, truth, **rules):
    d = detect(prediction, truth, **rules)
    return (d.truth_lesions, d.detected_lesions, d.prediction_lesions, d.false_positive_lesions)


SHORT, LONG = (0, 4), (0, 9)
ONE = boxes((SHORT, (0, 1), (0, 1)))
TWO = boxes((SHORT, (0, 1), (0, 1)), ((5, 9), (0, 1), (0, 1)))
BRIDGE = boxes((LONG, (0, 1), (0, 1)))
CORNERS = boxes(((0, 1), (0, 1), (0, 1)), ((1, 2), (1, 2), (1, 2)))
EMPTY = boxes()

ADVERSARIAL = {
    # name: prediction, truth, counts many to one, counts one to one
    "identical": (TWO, TWO, (2, 2, 2, 0), (2, 2, 2, 0)),
    "a bridge over two lesions": (BRIDGE, TWO, (2, 2, 1, 0), (2, 1, 1, 0)),
    "a lesion split in two": (TWO, BRIDGE, (1, 1, 2, 0), (1, 1, 2, 1)),
    "one missed": (ONE, TWO, (2, 1, 1, 0), (2, 1, 1, 0)),
    "one false": (TWO, ONE, (1, 1, 2, 1), (1, 1, 2, 1)),
    "beside, not on": (boxes((SHORT, (1, 2), (0, 1))), ONE, (1, 0, 1, 1), (1, 0, 1, 1)),
    "touching corners": (boxes(((1, 2), (1, 2), (1, 2))), CORNERS, (1, 1, 1, 0), (1, 1, 1, 0)),
    "nothing there": (EMPTY, EMPTY, (0, 0, 0, 0), (0, 0, 0, 0)),
    "nothing found": (EMPTY, TWO, (2, 0, 0, 0), (2, 0, 0, 0)),
    "all false": (TWO, EMPTY, (0, 0, 2, 2), (0, 0, 2, 2)),
}


@pytest.mark.parametrize("case", ADVERSARIAL)
def test_counts_are_those_done_by_hand(case):
    prediction, truth, many_to_one, one_to_one = ADVERSARIAL[case]
    assert counts(prediction, truth) == many_to_one
    assert counts(prediction, truth, matching="one_to_one") == one_to_one


@pytest.mark.parametrize(
    ("covered", "cutoff", "found"),
    [(1, 0.0, 1), (1, 0.2, 0), (2, 0.2, 0), (3, 0.2, 1), (3, 0.3, 0), (10, 0.99, 1)],
)
def test_a_lesion_is_found_when_its_own_share_exceeds_the_cut_off(covered, cutoff, found):
    truth = boxes(((0, 10), (0, 1), (0, 1)))  # of ten voxels: 2 are not more than 20 %
    prediction = boxes(((0, covered), (0, 1), (0, 1)))
    assert detect(prediction, truth, overlap_cutoff_fraction=cutoff).detected_lesions == found


def test_the_share_is_covered_by_however_many_lesions_unless_they_go_in_pairs():
    # 2 + 2 of 10 voxels: 40 % together, 20 % each
    truth = boxes(((0, 10), (0, 1), (0, 1)))
    crumbs = boxes(((0, 2), (0, 1), (0, 1)), ((4, 6), (0, 1), (0, 1)))
    assert counts(crumbs, truth, overlap_cutoff_fraction=0.3) == (1, 1, 2, 0)
    at_20, at_19 = (
        counts(crumbs, truth, overlap_cutoff_fraction=cutoff, matching="one_to_one")
        for cutoff in (0.2, 0.19)
    )
    assert (at_20, at_19) == ((1, 0, 2, 2), (1, 1, 2, 1))


def test_a_large_prediction_on_a_small_lesion_finds_it_and_is_false_itself():
    # 2 of the truth's 2 voxels, 2 of the prediction's 12
    truth, prediction = boxes(((0, 2), (0, 1), (0, 1))), boxes(((0, 12), (0, 1), (0, 1)))
    assert counts(prediction, truth, overlap_cutoff_fraction=0.2) == (1, 1, 1, 1)


def test_pairs_are_chosen_together_not_one_by_one():
    # True: A of 5 voxels, B of 2. Predicted: a is 3 of A, the gap of 2, and B; b is 1 of A.
    #   A A A A A . . B B      IoU of A with a: 3/9, with b: 1/5; of B with a: 2/7
    #   b . a a a a a a a      The best pair, A with a, leaves B alone: 3/9 in all.
    #                          A with b and B with a: 1/5 + 2/7, and both are found.
    truth = boxes(((0, 5), (0, 1), (0, 1)), ((7, 9), (0, 1), (0, 1)))
    prediction = boxes(((0, 1), (0, 1), (0, 1)), ((2, 9), (0, 1), (0, 1)))
    assert counts(prediction, truth, matching="one_to_one") == (2, 2, 2, 0)


def test_the_volume_cut_off_says_what_is_counted_and_never_what_overlaps():
    # true: 1 mm³ and 8 mm³; predicted: 3 mm³ on the first, a crumb of 2 mm³ on the second
    truth = boxes(((0, 1), (0, 1), (0, 1)), ((4, 6), (4, 6), (4, 6)))
    prediction = boxes(((0, 1), (0, 1), (0, 3)), ((4, 5), (4, 6), (4, 5)))
    assert counts(prediction, truth, volume_cutoff_ml=0.0) == (2, 2, 2, 0)
    # at 3 mm³ the crumb is not counted and still finds the lesion of 8; the prediction of 3 is on a
    # lesion, if on one too small to be counted
    assert counts(prediction, truth, volume_cutoff_ml=0.003) == (1, 1, 1, 0)
    assert counts(prediction, truth, volume_cutoff_ml=0.009) == (0, 0, 0, 0)


def test_a_lesion_of_the_cut_off_is_counted_when_the_spacing_is_rounded():
    spacing_mm = [float(np.float32(0.1)) * 10, 1.0, float(np.float32(0.9999999))]
    line = boxes(((0, 3), (0, 1), (0, 1)))
    overlaps = lesion_overlaps(line, line, spacing_mm=spacing_mm)
    assert overlaps.voxel_ml != 0.001
    assert detect_lesions(overlaps).truth_lesions == 1
    assert detect_lesions(overlaps, volume_cutoff_ml=0.0031).truth_lesions == 0


def smooth(seed, shape=(30, 28, 26)):
    """Two masks of some tens of lesions that agree in part."""
    rng = np.random.default_rng(seed)
    shared, *own = (ndimage.gaussian_filter(rng.normal(size=shape), 1.2) for _ in range(3))
    return [(shared + 0.6 * field) > 0.16 for field in own]


def noise(seed):
    rng = np.random.default_rng(seed)
    return [rng.random((16, 15, 14)) < 0.05 for _ in range(2)]


MASKS = {
    **{f"smooth {seed}": smooth(seed) for seed in range(3)},
    **{f"noise {seed}": noise(seed) for seed in range(3)},
    **{name: case[:2] for name, case in ADVERSARIAL.items()},
}


def by_loop(prediction, truth, *, cutoff, least_voxels, structure):
    """Counts many to one, lesion by lesion."""

    def judge(mask, other):
        numbered, n = ndimage.label(mask, structure)
        kept = [numbered == i for i in range(1, n + 1)]
        kept = [lesion for lesion in kept if lesion.sum() >= least_voxels]
        return len(kept), sum((lesion & other).sum() / lesion.sum() > cutoff for lesion in kept)

    lesions, found = judge(truth, prediction)
    predictions, true = judge(prediction, truth)
    return lesions, found, predictions, predictions - true


IN_SLICE = np.zeros((3, 3, 3))
IN_SLICE[:, :, 1] = 1


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("cutoff", [0.0, 0.2, 0.5])
@pytest.mark.parametrize(("connectivity", "structure"), [(26, np.ones((3, 3, 3))), (8, IN_SLICE)])
def test_counts_agree_with_a_loop_over_lesions(name, cutoff, connectivity, structure):
    prediction, truth = MASKS[name]
    overlaps = lesion_overlaps(
        prediction, truth, spacing_mm=(1.0, 2.0, 0.5), connectivity=connectivity
    )
    for least_voxels in (0, 3, 20):
        d = detect_lesions(
            overlaps, overlap_cutoff_fraction=cutoff, volume_cutoff_ml=least_voxels / 1000
        )
        assert (
            *(d.truth_lesions, d.detected_lesions),
            *(d.prediction_lesions, d.false_positive_lesions),
        ) == by_loop(
            prediction, truth, cutoff=cutoff, least_voxels=least_voxels, structure=structure
        )


def test_recall_and_f1_are_those_of_the_wmh_challenge():
    def challenge(prediction, truth):
        """By its definitions: components hit by the other mask, of all components."""
        ratios = []
        for one, other in ((truth, prediction), (prediction, truth)):
            numbered, n = ndimage.label(one, np.ones((3, 3, 3)))
            ratios.append(len(np.unique(numbered[other & one])) / n)
        return ratios[0], 2 * ratios[0] * ratios[1] / (ratios[0] + ratios[1])

    for seed in range(3):
        ours = detect(*smooth(seed))
        assert (ours.recall, ours.f1) == pytest.approx(challenge(*smooth(seed)))
        assert 0 < ours.f1 < 1


def dense_pairs(prediction, truth, cutoff):
    """The number of pairs one to one by the Hungarian method on the whole table of IoU."""
    (true, n), (predicted, m) = (ndimage.label(x, np.ones((3, 3, 3))) for x in (truth, prediction))
    iou = np.zeros((n, m))
    for i, j in np.ndindex(n, m):
        one, other = true == i + 1, predicted == j + 1
        iou[i, j] = (one & other).sum() / (one | other).sum()
    iou[iou <= cutoff] = 0
    return int((iou[linear_sum_assignment(iou, maximize=True)] > 0).sum())


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("cutoff", [0.0, 0.1, 0.5])
def test_pairs_agree_with_the_hungarian_method(name, cutoff):
    prediction, truth = MASKS[name]
    ours = detect(prediction, truth, overlap_cutoff_fraction=cutoff, matching="one_to_one")
    assert ours.detected_lesions == dense_pairs(prediction, truth, cutoff)
    assert ours.detected_lesions == ours.prediction_lesions - ours.false_positive_lesions


@pytest.mark.parametrize("cutoff", [0.0, 0.1, 0.5])
def test_pairs_agree_with_panoptica(cutoff):
    reason = "panoptica, a second opinion, is not installed"
    panoptica = pytest.importorskip("panoptica", reason=reason)
    evaluator = panoptica.Panoptica_Evaluator(
        expected_input=panoptica.InputType.SEMANTIC,
        instance_approximator=panoptica.ConnectedComponentsInstanceApproximator(),
        instance_matcher=panoptica.MaxBipartiteMatching(
            matching_threshold=cutoff, strict_threshold=True
        ),
        instance_metrics=[panoptica.Metric.IOU],
        global_metrics=[],
    )
    for name, (prediction, truth) in MASKS.items():
        pair = prediction.astype(np.uint8), truth.astype(np.uint8)
        theirs = evaluator.evaluate(*pair, verbose=False)["ungrouped"]
        ours = detect(prediction, truth, overlap_cutoff_fraction=cutoff, matching="one_to_one")
        assert (
            ours.detected_lesions,
            ours.false_positive_lesions,
            ours.truth_lesions - ours.detected_lesions,
        ) == (theirs.tp, theirs.fp, theirs.fn), name


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("name", [name for name in MASKS if "noise" in name or "smooth" in name])
def test_swapping_the_masks_swaps_recall_and_precision(name, matching):
    prediction, truth = MASKS[name]
    rules = {"overlap_cutoff_fraction": 0.1, "volume_cutoff_ml": 0.002, "matching": matching}
    one, other = detect(prediction, truth, **rules), detect(truth, prediction, **rules)
    assert (one.recall, one.precision) == (other.precision, other.recall)
    assert one.f1 == other.f1


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize("name", ["smooth 0", "noise 0"])
def test_orientation_changes_nothing(name, matching):
    prediction, truth = MASKS[name]
    before = detect(prediction, truth, matching=matching)
    for turn in (lambda m: m[::-1], lambda m: m.transpose(2, 0, 1), np.asfortranarray):
        assert detect(turn(prediction), turn(truth), matching=matching) == before


@pytest.mark.parametrize("matching", MATCHINGS)
def test_higher_cut_offs_find_no_more(matching):
    overlaps = lesion_overlaps(*smooth(0), spacing_mm=ISOTROPIC)
    found = [
        detect_lesions(overlaps, overlap_cutoff_fraction=c, matching=matching).detected_lesions
        for c in np.linspace(0, 0.95, 20)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


@pytest.mark.parametrize(
    ("counted", "recall", "precision", "f1"),
    [
        ((4, 3, 2, 1), 3 / 4, 1 / 2, 2 * (3 / 4) * (1 / 2) / (3 / 4 + 1 / 2)),
        ((4, 0, 2, 2), 0, 0, 0),
        ((4, 0, 0, 0), 0, math.nan, 0),
        ((0, 0, 2, 2), math.nan, 0, 0),
        ((0, 0, 0, 0), math.nan, math.nan, math.nan),
        ((2, 2, 0, 0), 1, math.nan, math.nan),  # by a prediction below the volume cut-off
        ((0, 0, 2, 0), math.nan, 1, math.nan),  # on a lesion below it
    ],
)
def test_scores_come_from_the_counts(counted, recall, precision, f1):
    detection = LesionDetection(*counted)
    scores = (detection.recall, detection.precision, detection.f1)
    assert scores == pytest.approx((recall, precision, f1), nan_ok=True)


def test_a_curve_has_a_row_for_each_subject_and_pair_of_cut_offs():
    overlaps = {
        "a": lesion_overlaps(BRIDGE, TWO, spacing_mm=(10.0, 10.0, 10.0)),
        "b": lesion_overlaps(ONE, TWO, spacing_mm=(10.0, 10.0, 10.0)),
    }
    curve = detection_curve(overlaps, volume_cutoffs_ml=(0.0, 4.0, 5.0))
    assert len(curve) == 2 * 2 * 3
    rows = curve.set_index(["subject", "overlap_cutoff_fraction", "volume_cutoff_ml"])
    assert rows.loc[("a", 0.0, 0.0), "recall"] == 1
    assert rows.loc[("b", 0.2, 4.0), "recall"] == 1 / 2  # its lesions have 4 mL
    assert math.isnan(rows.loc[("b", 0.2, 5.0), "recall"])
    sums = curve.groupby("volume_cutoff_ml")[["detected_lesions", "truth_lesions"]].sum()
    assert sums.to_numpy().tolist() == [[6, 8], [6, 8], [0, 0]]
    for row in curve.itertuples():
        single = detect_lesions(
            overlaps[row.subject],
            overlap_cutoff_fraction=row.overlap_cutoff_fraction,
            volume_cutoff_ml=row.volume_cutoff_ml,
        )
        assert (row.prediction_lesions, row.false_positive_lesions) == (
            single.prediction_lesions,
            single.false_positive_lesions,
        )
        assert row.f1 == pytest.approx(single.f1, nan_ok=True)


def test_a_curve_goes_by_the_matching_asked_for():
    overlaps = {"a": lesion_overlaps(BRIDGE, TWO, spacing_mm=ISOTROPIC)}
    options = {"overlap_cutoff_fractions": [0.0], "volume_cutoffs_ml": [0.0]}
    recalls = [
        detection_curve(overlaps, matching=matching, **options)["recall"].item()
        for matching in MATCHINGS
    ]
    assert recalls == [1.0, 0.5]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"matching": "one_to_many"}, r"matching must be one of many_to_one, one_to_one"),
        ({"overlap_cutoff_fraction": 1.0}, "overlap_cutoff_fraction must be .* below 1, got 1.0"),
        ({"overlap_cutoff_fraction": 20.0}, "overlap_cutoff_fraction must be .*, got 20.0"),
        ({"overlap_cutoff_fraction": math.nan}, "overlap_cutoff_fraction must be .*, got nan"),
        ({"volume_cutoff_ml": -1.0}, "volume_cutoff_ml must be .* at least 0, got -1.0"),
        ({"volume_cutoff_ml": math.inf}, "volume_cutoff_ml must be a finite number"),
    ],
)
def test_impossible_rules_are_refused(rules, message):
    with pytest.raises(InputError, match=message):
        detect(ONE, TWO, **rules)
