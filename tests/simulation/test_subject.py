"""Whole subjects, as arrays."""

from typing import Any

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.body import grade_of
from monai_transfer.simulation.grid import MNI152
from monai_transfer.simulation.subject import simulate_subject


@pytest.mark.parametrize(("disease", "high", "low"), [("brats", 210, 75), ("brats2015", 220, 54)])
def test_grades_are_mixed_as_in_brats(disease: str, high: int, low: int) -> None:
    grades = [grade_of(disease, index) for index in range(high + low)]
    assert grades.count("HGG") == high
    assert grades.count("LGG") == low
    for cases in (20, 50, 100, 150):  # any first part keeps the ratio
        expected = cases * low / (high + low)
        assert grades[:cases].count("LGG") == pytest.approx(expected, abs=0.5)
    assert grade_of("ms", 0) is None


@pytest.mark.parametrize(
    ("disease", "shape", "values"),
    [
        ("ms", (46, 54, 46), {0, 1}),
        ("brats", (60, 60, 39), {0, 1, 2, 4}),
        ("brats2015", (60, 60, 39), {0, 1, 2, 3, 4}),
    ],
)
def test_a_subject_is_four_images_and_a_label_on_one_grid(
    disease: str, shape: tuple[int, int, int], values: set[int]
) -> None:
    subject = simulate_subject(disease, 0, spacing_mm=4.0)
    assert subject.grid.shape == shape
    assert subject.image.shape == (4, *shape)
    assert subject.label.shape == shape
    brain = subject.image[0] > 0
    for channel in subject.image:
        np.testing.assert_array_equal(channel > 0, brain)
    assert not subject.label[~brain].any()
    assert set(np.unique(subject.label)) == values


def test_seed_and_index_determine_a_subject() -> None:
    first, again, next_one, other_seed = (
        simulate_subject("ms", index, spacing_mm=8.0, seed=seed)
        for index, seed in ((3, 1), (3, 1), (4, 1), (3, 2))
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, again.label)
    assert (first.image != next_one.image).any()
    assert (first.image != other_seed.image).any()


def test_a_protocol_changes_the_images_but_not_the_patient() -> None:
    drawn, thick, volume = (
        simulate_subject("brats", 0, spacing_mm=4.0, protocol=protocol)
        for protocol in (None, "1.5T-routine-5mm", "3T-volume")
    )
    np.testing.assert_array_equal(drawn.label, thick.label)
    np.testing.assert_array_equal(thick.label, volume.label)
    assert thick.scanner is not None
    assert volume.scanner is not None
    assert (thick.scanner.name, volume.scanner.name) == ("1.5T-routine-5mm", "3T-volume")
    assert np.corrcoef(thick.image[3].ravel(), volume.image[3].ravel())[0, 1] < 0.99


@pytest.mark.parametrize(
    ("disease", "values"),
    [("tissue", range(4)), ("stroke", range(2)), ("anatomy", range(8)), ("natural", range(17))],
)
def test_cohorts_of_t1_alone_lie_on_the_grid_of_the_template(disease: str, values: range) -> None:
    subject, again = (simulate_subject(disease, 1, spacing_mm=4.0) for _ in range(2))
    whole = MNI152.respaced(4.0)
    assert subject.image.shape[1:3] == whole.shape[:2]
    assert subject.grid.affine.tolist() == whole.affine.tolist()
    assert subject.image.shape == (1, *subject.label.shape)
    assert set(np.unique(subject.label)) <= set(values)
    assert not subject.label[subject.image[0] == 0].any()
    np.testing.assert_array_equal(subject.image, again.image)
    np.testing.assert_array_equal(subject.label, again.label)
    for name, label in subject.others.items():
        np.testing.assert_array_equal(label, again.others[name])


def test_t1_alone_is_scanned_as_a_volume_of_either_field() -> None:
    scanners = [simulate_subject("tissue", index, spacing_mm=10.0).scanner for index in range(6)]
    assert {s.name for s in scanners if s is not None} == {"1.5T-volume", "3T-volume"}
    assert all(list(s.sequences) == ["t1"] for s in scanners if s is not None)


def test_scanners_store_in_their_own_units() -> None:
    medians = [
        np.median(s.image[0][s.image[0] > 0])
        for s in (simulate_subject("ms", i, spacing_mm=8.0) for i in range(8))
    ]
    assert max(medians) > 2.0 * min(medians)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("strok", 0, {}), "disease must be one of .*Did you mean stroke"),
        (("ms", 0, {"spacing_mm": 0.1}), "spacing_mm must lie between 0.5 and 10, got 0.1"),
        (("ms", -1, {}), "index must be 0 or more, got -1"),
        (("ms", 0, {"protocol": "7T"}), "protocol must be one of"),
        (("natural", 0, {"protocol": "3T-volume"}), "protocol must be left out for natural"),
        (("ms", 0, {"session": "baseline"}), "session must be left out for ms, got baseline"),
        (("wmh", 0, {"session": "third"}), "session must be one of baseline, followup"),
        (
            ("wmh", 0, {"protocol": "3T-volume"}),
            "protocol must be left out for wmh, whose sessions",
        ),
    ],
)
def test_bad_arguments_are_refused(
    arguments: tuple[str, int, dict[str, Any]], message: str
) -> None:
    disease, index, options = arguments
    with pytest.raises(InputError, match=message):
        simulate_subject(disease, index, **options)
