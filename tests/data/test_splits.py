from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from monai_transfer.data import nested_subset, patient_folds, split_patients
from monai_transfer.data.splits import stratified_order
from monai_transfer.errors import InputError

BRATS = {f"p{i:03d}": "HGG" if i < 210 else "LGG" for i in range(285)}
POOL = [{"image": [f"{p}.nii"], "subject": p, "group": group} for p, group in BRATS.items()]
SEEDS = range(25)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_prefix_keeps_the_ratio_as_exactly_as_rounding_allows(seed: int) -> None:
    order = nested_subset(POOL, 285, seed=seed)
    for size in range(1, 286):
        hgg = sum(entry["group"] == "HGG" for entry in order[:size])
        assert abs(hgg - Fraction(210 * size, 285)) <= Fraction(1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_prefixes_of_any_number_of_groups_of_any_size_stay_within_tijdemans_bound(
    seed: int,
) -> None:
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, 40, size=int(draw.integers(2, 7)))
    groups = [str(group) for group, size in enumerate(sizes) for _ in range(size)]
    ids = [str(i) for i in range(len(groups))]
    order = stratified_order(ids, groups, seed=str(seed))
    assert sorted(order) == list(range(len(ids)))
    bound = 1 - Fraction(1, 2 * len(sizes) - 2)
    for size in range(1, len(order) + 1):
        counts = Counter(groups[i] for i in order[:size])
        for group, total in enumerate(sizes):
            share = Fraction(int(total) * size, len(order))
            assert abs(counts[str(group)] - share) <= bound


@pytest.mark.parametrize("seed", SEEDS)
def test_the_papers_subsets_are_nested(seed: int) -> None:
    subsets = [nested_subset(POOL, cases, seed=seed) for cases in (20, 50, 100, 150)]
    names = [{entry["subject"] for entry in subset} for subset in subsets]
    assert [len(subset) for subset in names] == [20, 50, 100, 150]
    assert names[0] < names[1] < names[2] < names[3]
    # 20 · 210/285 = 14.7 of the cases are HGG
    assert sum(entry["group"] == "HGG" for entry in subsets[0]) == 15


def test_seeds_give_repeats_that_overlap_by_chance_only() -> None:
    repeats = [{e["subject"] for e in nested_subset(POOL, 57, seed=seed)} for seed in SEEDS]
    assert len(set(map(frozenset, repeats))) == len(repeats)
    shared = [len(a & b) for a, b in pairwise(repeats)]
    # 57 of 285 is a fifth: two draws share 57/5 = 11.4 on average, with a standard deviation of 2.7
    assert 8 < np.mean(shared) < 15


def test_the_subset_depends_on_the_subjects_not_on_order_or_path() -> None:
    moved = [{**entry, "image": "/elsewhere/" + entry["image"][0]} for entry in reversed(POOL)]
    names = [entry["subject"] for entry in nested_subset(POOL, 20, seed=3)]
    assert [entry["subject"] for entry in nested_subset(moved, 20, seed=3)] == names


def test_groups_of_one_size_take_the_same_turns_in_whatever_order_they_are_listed():
    pool = [{"image": f"{i}.nii", "group": "HL"[i % 2]} for i in range(10)]
    for seed in SEEDS:
        assert nested_subset(pool[::-1], 5, seed=seed) == nested_subset(pool, 5, seed=seed)


def test_the_draw_is_the_same_on_every_machine_and_version() -> None:
    names = [entry["subject"] for entry in nested_subset(POOL, 4, seed=0)]
    assert names == ["p197", "p257", "p065", "p057"]


def test_entries_without_groups_or_subjects_are_one_group() -> None:
    pool = [{"image": f"{i}.nii.gz"} for i in range(6)]
    assert nested_subset(pool, 2, seed=0) == nested_subset(pool, 6, seed=0)[:2]
    by_hand = nested_subset(pool, 3, seed=0, groups=["a", "a", "a", "a", "b", "b"])
    assert sum(int(str(entry["image"])[0]) < 4 for entry in by_hand) == 2


@pytest.mark.parametrize("cases", [0, -1, 286])
def test_a_number_of_cases_that_cannot_be_is_refused(cases: int) -> None:
    with pytest.raises(InputError, match=f"cases must be 1 to 285, .* got {cases}"):
        nested_subset(POOL, cases, seed=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_parts_hold_every_patient_once_with_the_groups_of_the_whole(seed: int) -> None:
    parts = split_patients(BRATS, validation=50, test=66, seed=seed)
    assert {part: len(names) for part, names in parts.items()} == {
        "training": 169,
        "validation": 50,
        "test": 66,
    }
    assert sorted(name for names in parts.values() for name in names) == sorted(BRATS)
    for names in parts.values():
        hgg = sum(BRATS[name] == "HGG" for name in names)
        assert abs(hgg - Fraction(210 * len(names), 285)) <= 1


def test_another_seed_gives_another_split_and_the_order_of_patients_does_not_matter() -> None:
    parts = split_patients(BRATS, validation=50, test=66, seed=0)
    backwards = dict(reversed(BRATS.items()))
    assert split_patients(backwards, validation=50, test=66, seed=0) == parts
    assert split_patients(BRATS, validation=50, test=66, seed=1)["test"] != parts["test"]


def test_the_test_set_does_not_change_with_the_size_of_the_validation_set() -> None:
    few, many = (split_patients(BRATS, validation=n, test=66, seed=0) for n in (5, 50))
    assert few["test"] == many["test"]


def test_a_share_is_rounded_and_a_whole_number_counts() -> None:
    patients = {str(i): "" for i in range(30)}
    sizes = {
        (validation, test): [
            len(names)
            for names in split_patients(patients, validation=validation, test=test).values()
        ]
        for validation, test in [(0.2, 0), (0.19, 1), (1, 1.0 / 3), (0, 1.0)]
    }
    assert sizes == {
        (0.2, 0): [24, 6, 0],
        (0.19, 1): [23, 6, 1],
        (1, 1.0 / 3): [19, 1, 10],
        (0, 1.0): [0, 0, 30],
    }


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (-1, 0, "validation must be a number of patients, or a share from 0.0 to 1.0, got -1"),
        (0, 1.5, "test must be a number of patients, or a share from 0.0 to 1.0, got 1.5"),
        (0, float("nan"), "test must be a number of patients, or a share from 0.0 to 1.0, got nan"),
        (200, 86, "validation and test must fit into 285 patients, got 200 and 86"),
        (0.9, 0.9, "validation and test must fit into 285 patients, got 256 and 256"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(validation: float, test: float, message: str) -> None:
    with pytest.raises(InputError) as error:
        split_patients(BRATS, validation=validation, test=test)
    assert message in str(error.value)


@pytest.mark.parametrize("folds", [2, 3, 4, 10])
def test_folds_are_a_partition_with_the_groups_of_the_whole(folds):
    patients = {f"p{i:02}": "HGG" if i < 31 else "LGG" for i in range(42)}
    parts = patient_folds(patients, folds, seed=3)
    assert sorted(name for part in parts for name in part) == sorted(patients)
    for part in parts:
        assert abs(len(part) - 42 / folds) < 1
        assert abs(sum(patients[p] == "HGG" for p in part) - len(part) * 31 / 42) <= 1
    assert parts == patient_folds(dict(reversed(patients.items())), folds, seed=3)
    assert parts != patient_folds(patients, folds, seed=4)


def test_groups_that_take_turns_are_in_every_fold():
    """As many of one as of the other: dealing them out in turn would part them."""
    patients = {f"p{i}": "AB"[i % 2] for i in range(8)}
    assert all({patients[p] for p in fold} == {"A", "B"} for fold in patient_folds(patients, 2))
    assert all({patients[p] for p in fold} == {"A", "B"} for fold in patient_folds(patients, 4))


@pytest.mark.parametrize("folds", [1, 0, -2, 9])
def test_folds_that_would_be_empty_or_all_are_refused(folds):
    with pytest.raises(InputError, match=f"folds must be 2 to 8, .* got {folds}"):
        patient_folds({f"p{i}": "" for i in range(8)}, folds)
