import itertools
from functools import partial

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import (
    RECIPES,
    Finding,
    check_prepared,
    landmarks,
    learn_standard_scale,
)
from monai_transfer.imaging.mni152 import CENTRE_MM
from monai_transfer.imaging.modality_order import exchanged_modalities
from monai_transfer.simulation import simulate_subject

NAMES = ["t1", "t1c", "t2", "flair"]


@pytest.fixture(scope="module")
def cohort() -> list[np.ndarray]:
    """Simulated subjects of mixed protocols, at 4 mm."""
    return [simulate_subject("ms", i, spacing_mm=4.0, seed=9).image for i in range(16)]


def own(image: np.ndarray) -> np.ndarray:
    return landmarks(image, (image != 0).any(axis=0))


@pytest.fixture(scope="module")
def scale(cohort):
    return learn_standard_scale([own(image) for image in cohort[:8]], NAMES)


def test_subjects_that_are_listed_rightly_are_not_named(cohort, scale):
    for image in cohort[8:]:
        assert exchanged_modalities(own(image), scale=scale, modalities=NAMES) == []


@pytest.mark.parametrize("other", ["t1", "t1c", "flair"])
def test_t2_listed_as_another_is_named_with_it(other, cohort, scale):
    order = list(range(4))
    a, b = sorted((NAMES.index("t2"), NAMES.index(other)))
    order[a], order[b] = b, a
    found = [exchanged_modalities(own(i[order]), scale=scale, modalities=NAMES) for i in cohort[8:]]
    named = f"{NAMES[a]} looks like {NAMES[b]}, and {NAMES[b]} like {NAMES[a]}"
    assert sum(named in one for one in found) >= 6


def test_neither_the_scanners_scale_nor_the_order_of_channels_matters(cohort, scale):
    gain = np.array([3.0, 0.01, 700.0, 1.0])[:, None, None, None]
    orders = list(itertools.permutations(range(4)))[:8]
    for image, order in zip(cohort[8:], orders, strict=True):
        names = [NAMES[i] for i in order]
        changed = (gain * image)[list(order)]
        assert exchanged_modalities(own(changed), scale=scale, modalities=names) == []


def test_modalities_without_a_standard_are_not_judged(cohort, scale):
    swapped = own(cohort[8][[2, 1, 0, 3]])
    names = ["dwi", "t1c", "swi", "flair"]
    assert exchanged_modalities(swapped, scale=scale, modalities=names) == []
    assert exchanged_modalities(swapped[:1], scale=scale, modalities=["t1"]) == []
    with pytest.raises(InputError, match="channels must be named by the modalities"):
        exchanged_modalities(swapped, scale=scale, modalities=["t1", "t2"])


def test_it_is_among_what_shows_that_an_image_was_not_prepared(cohort, scale):
    affine = np.eye(4)
    inside = np.argwhere(cohort[8][0] != 0).mean(axis=0)
    affine[:3, 3] = np.array(CENTRE_MM) - inside
    check = partial(
        check_prepared, affine=affine, recipe=RECIPES["k19"], scale=scale, modalities=NAMES
    )
    assert [check(image) for image in cohort[8:]] == [[]] * 8
    found = [check(image[[0, 1, 3, 2]]) for image in cohort[8:]]
    assert found.count([Finding("t2 looks like flair, and flair like t2", sure=False)]) >= 6
