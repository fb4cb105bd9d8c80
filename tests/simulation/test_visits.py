"""Who is scanned when, and which set each patient is in."""

from collections import Counter

import numpy as np
import pytest

from monai_transfer.data import manifest_path, read_manifest
from monai_transfer.simulation import DISEASES
from monai_transfer.simulation.body import RAW
from monai_transfer.simulation.visits import (
    SESSIONS,
    folder_of,
    manifests_of,
    participants_table,
    session_sources,
    sessions_of,
    split_of,
)

PAPER = {"training": (200, 100), "validation": (30, 26), "test": (50, 33)}


def test_280_patients_are_split_and_followed_up_as_in_the_paper() -> None:
    sets = Counter(split_of(index) for index in range(280))
    followed = Counter(
        split_of(index) for index in range(280) if sessions_of("wmh", index) == SESSIONS
    )
    assert {name: (sets[name], followed[name]) for name in PAPER} == PAPER


@pytest.mark.parametrize("patients", [16, 50, 100, 279, 400])
def test_any_first_part_of_the_cohort_has_about_these_shares(patients: int) -> None:
    for name, (all_of_280, followed_of_280) in PAPER.items():
        mine = [index for index in range(patients) if split_of(index) == name]
        followed = [index for index in mine if "followup" in sessions_of("wmh", index)]
        assert len(mine) == pytest.approx(patients * all_of_280 / 280, abs=1.0)
        assert len(followed) == pytest.approx(len(mine) * followed_of_280 / all_of_280, abs=0.5)


def test_three_patients_are_one_in_each_set_and_all_come_back() -> None:
    assert sorted(split_of(index) for index in range(3)) == sorted(PAPER)
    assert all(sessions_of("wmh", index) == SESSIONS for index in range(3))


def test_a_cohort_is_in_the_folder_of_its_disease() -> None:
    for disease in DISEASES:
        for manifest in manifests_of(disease):
            there, session = folder_of(manifest.removeprefix("simulated_"))
            assert there == disease
            assert session in sessions_of(disease, 0)


def test_nobody_else_comes_twice() -> None:
    assert sessions_of("ms", 0) == sessions_of("brats", 7) == (None,)


def test_a_session_draws_alike_whether_or_not_there_is_another() -> None:
    alone, both = (
        session_sources(np.random.SeedSequence(3), sessions)
        for sessions in (["followup"], SESSIONS)
    )
    assert alone["followup"].uniform() == both["followup"].uniform() != both["baseline"].uniform()


def test_the_table_is_that_of_bids() -> None:
    table = participants_table({"sub-a": 0, "sub-b": 1})
    assert table == "participant_id\tsplit\nsub-a\ttraining\nsub-b\tvalidation\n"


@pytest.mark.parametrize(
    ("disease", "raw"), [*((d, False) for d in DISEASES), *((d, True) for d in RAW)]
)
def test_a_simulated_folder_is_described_by_manifests_that_there_are(disease: str, *, raw: bool):
    for name in manifests_of(disease, raw=raw):
        assert read_manifest(manifest_path(name)).name == name
