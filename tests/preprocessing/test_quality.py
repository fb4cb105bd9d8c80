import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.preprocessing.quality import normalised_mutual_information, relative_scores


@pytest.fixture
def brain() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((40, 40, 40))
    return ndimage.gaussian_filter(noise, 3)


def test_it_is_2_for_an_image_and_its_negative_and_1_for_strangers(brain: np.ndarray):
    mask = np.ones(brain.shape, bool)
    assert normalised_mutual_information(brain, -3 * brain + 7, mask) == pytest.approx(2, abs=0.02)
    other = np.random.default_rng(1).standard_normal(brain.shape)
    assert normalised_mutual_information(brain, other, mask) == pytest.approx(1, abs=0.02)


def test_it_falls_with_every_millimetre_of_misalignment(brain: np.ndarray):
    mask = np.zeros(brain.shape, bool)
    mask[8:-8, 8:-8, 8:-8] = True
    found = [normalised_mutual_information(np.roll(brain, s, 0), -brain, mask) for s in range(5)]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[4] > 0.3


def test_it_agrees_with_entropies_by_hand():
    one = np.array([0.0, 0, 1, 1]).reshape(2, 2, 1)
    other = np.array([0.0, 1, 0, 1]).reshape(2, 2, 1)
    mask = np.ones(one.shape, bool)
    # independent: H(A) = H(B) = ln 2, H(A, B) = ln 4
    assert normalised_mutual_information(one, other, mask) == pytest.approx(1)
    # equal: H(A) = H(B) = H(A, B) = ln 2
    assert normalised_mutual_information(one, one, mask) == pytest.approx(2)


def test_a_subject_is_as_good_as_its_worst_pair():
    usual = {"t1 to flair": 1.1, "flair to MNI152": 1.04}
    bad = {"t1 to flair": 1.1, "flair to MNI152": 1.0}
    found = relative_scores({"a": usual, "b": usual, "c": bad})
    assert found == {"a": 1.0, "b": 1.0, "c": pytest.approx(1.0 / 1.04)}
    assert relative_scores({"alone": {}}) == {"alone": 1.0}
