import math

import numpy as np
import pytest

from monai_transfer.metrics import THRESHOLDS, best_threshold


def test_the_threshold_between_lesion_and_background_is_found():
    probability, truth = np.array([0.62, 0.71, 0.48, 0.1]), np.array([1, 1, 0, 0], bool)
    assert best_threshold([probability], [truth]) == (0.5, 1.0)  # the first that parts them


def test_subjects_count_alike_whatever_their_lesion_load():
    # the large subject alone would choose 0.05 (Dice 1), the two small ones 0.8
    large = np.full(1000, 0.1), np.ones(1000, bool)
    small = np.array([0.9, 0.7, 0.7, 0.7]), np.array([1, 0, 0, 0], bool)
    threshold, dice = best_threshold(*zip(large, small, small, strict=True))
    assert threshold == pytest.approx(0.7)
    assert dice == pytest.approx((0 + 1 + 1) / 3)


def test_dice_agrees_with_counting_at_every_threshold():
    rng = np.random.default_rng(0)
    probability, truth = rng.random(500), rng.random(500) < 0.3
    probability = np.clip(probability + 0.4 * truth, 0, 1)
    dice = [
        2 * (truth & (probability > t)).sum() / (truth.sum() + (probability > t).sum())
        for t in THRESHOLDS
    ]
    best = int(np.argmax(dice))
    assert best_threshold([probability], [truth]) == (THRESHOLDS[best], pytest.approx(dice[best]))


def test_subjects_without_lesion_choose_nothing():
    threshold, dice = best_threshold([np.array([0.9])], [np.array([False])])
    assert threshold == 0.5
    assert math.isnan(dice)


def test_a_lesion_found_in_a_healthy_subject_counts_0_and_none_found_counts_nothing():
    lesion = np.array([0.9, 0.7, 0.2]), np.array([1, 1, 0], bool)
    healthy = np.array([0.75, 0.1, 0.1]), np.zeros(3, bool)
    # up to 0.65 it is (1 + 0) / 2, at 0.7 one of two voxels is left: (2/3 + 0) / 2, and from 0.75
    # on the healthy one is n/a: 2/3
    threshold, dice = best_threshold(*zip(lesion, healthy, strict=True))
    assert (threshold, dice) == (0.75, pytest.approx(2 / 3))
