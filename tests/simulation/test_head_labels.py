import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.simulation.head_labels import (
    LABELS,
    HeadLabels,
    draw_head_labels,
    real_head_labels,
)

NAMES = list(LABELS)


@pytest.fixture(scope="module")
def head() -> HeadLabels:
    return draw_head_labels(np.random.default_rng(3))


def test_a_head_holds_every_label_but_those_of_real_maps(head):
    found = {NAMES[value] for value in np.unique(head.labels)}
    assert found == set(NAMES) - {"vein"}


def test_the_target_is_all_within_the_inner_skull(head):
    inside = {NAMES[value] for value in np.unique(head.labels[head.target])}
    assert {"wm", "gm", "csf", "outer_csf"} <= inside
    assert not inside & {"bone", "fat", "skin", "eye", "air"}
    brain = np.isin(head.labels, [NAMES.index(name) for name in ("wm", "gm", "csf")])
    assert head.target[brain].all()


def test_the_skull_lies_on_some_gyri_and_far_from_others(head):
    solid = np.isin(head.labels, [NAMES.index("wm"), NAMES.index("gm")])
    to_brain_mm = ndimage.distance_transform_edt(~solid, sampling=head.spacing_mm)
    surface = head.target & ~ndimage.binary_erosion(head.target)
    near, far = np.percentile(to_brain_mm[surface], (25, 95))
    assert near <= head.spacing_mm
    assert far >= 2 * head.spacing_mm


def test_what_is_outside_the_inner_skull_is_neither_brain_nor_fluid_around_it(head):
    outside = {NAMES[value] for value in np.unique(head.labels[~head.target])}
    assert not outside & {"wm", "gm", "csf", "outer_csf"}


def test_a_real_label_map_is_a_head_whose_target_ends_with_the_cerebellum():
    labels = np.zeros((6, 6, 12), np.int16)
    labels[1:5, 1:5, 1:11] = 515  # skull
    labels[2:4, 2:4, 2:10] = 24  # fluid, down into the spinal canal
    labels[2, 2, 5:8] = 8  # cerebellum
    labels[0, 0, 0] = 999
    head = real_head_labels(labels, spacing_mm=2.0)
    assert NAMES[head.labels[1, 1, 1]] == "bone"
    assert NAMES[head.labels[2, 3, 9]] == "csf"
    assert NAMES[head.labels[2, 2, 5]] == "gm"
    assert NAMES[head.labels[0, 0, 0]] == "muscle"
    assert np.flatnonzero(head.target.any(axis=(0, 1))).tolist() == [5, 6, 7, 8, 9]
    np.testing.assert_allclose(head.centre_mm, [5.0, 5.0, 14.0])
