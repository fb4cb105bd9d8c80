import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from monai_transfer.errors import InputError
from monai_transfer.studies import Interval, paired_difference


def test_the_interval_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"a": rng.random(12), "b": rng.random(12)})
    gain = paired_difference(scores, "a", than="b")
    oracle = stats.ttest_rel(scores["a"], scores["b"]).confidence_interval(0.95)
    assert (gain.low, gain.high) == pytest.approx((oracle.low, oracle.high))
    assert gain.mean == pytest.approx((scores["a"] - scores["b"]).mean())


def test_subjects_without_both_scores_are_left_out():
    scores = pd.DataFrame({"a": [0.5, 0.7, math.nan, 0.9], "b": [0.4, 0.5, 0.1, math.nan]})
    gain = paired_difference(scores, "a", than="b")
    assert (gain.n, round(gain.mean, 3)) == (2, 0.15)


def test_one_subject_has_a_mean_and_no_interval():
    gain = paired_difference(pd.DataFrame({"a": [0.5], "b": [0.25]}), "a", than="b")
    assert gain.mean == 0.25
    assert math.isnan(gain.low)
    assert math.isnan(gain.high)
    assert str(gain) == "+0.250 (one subject)"


def test_no_subject_with_both_scores_is_refused():
    scores = pd.DataFrame({"a": [0.5, math.nan], "b": [math.nan, 0.5]})
    with pytest.raises(InputError, match="hold a subject with scores of a and of b"):
        paired_difference(scores, "a", than="b")


def test_the_same_difference_of_every_subject_has_no_width():
    scores = pd.DataFrame({"a": [0.5, 0.25, 1.0], "b": [0.25, 0.0, 0.75]})
    assert paired_difference(scores, "a", than="b") == Interval(0.25, 0.25, 0.25, 3)
