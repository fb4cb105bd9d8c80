"""Affine, diffeomorphism and mass effect."""

import numpy as np
import pytest

from monai_transfer.simulation.deformation import (
    TEMPLATE_BRAIN_ML,
    Push,
    Warp,
    draw_warp,
    exponentiate,
)
from monai_transfer.simulation.template import CENTRE_MM

LATTICE_MM = 5.0


def test_a_constant_velocity_is_a_translation() -> None:
    velocity = np.zeros((3, 12, 12, 12), np.float32)
    velocity[1] = 4.0
    moved = exponentiate(velocity)[:, 3:8, 3:8, 3:8]  # away from the border, where it is cut off
    np.testing.assert_allclose(moved[1], 4.0, atol=1e-3)
    assert not moved[[0, 2]].any()


@pytest.mark.parametrize("seed", range(2))
def test_random_anatomies_fold_nowhere(seed: int) -> None:
    warp = draw_warp(np.random.default_rng(seed), (0.0, 0.0, 0.0), brain_ml=1200.0)
    gradients = [np.gradient(u, LATTICE_MM) for u in warp.displacement]
    jacobian = np.moveaxis(np.array(gradients), (0, 1), (-2, -1)) + np.eye(3)
    determinants = np.linalg.det(jacobian)
    assert determinants.min() > 0.0
    assert determinants.std() > 0.05  # it is a deformation, not the identity


@pytest.mark.parametrize("brain_ml", [1050.0, 1460.0])
def test_the_affine_sets_the_volume(brain_ml: float) -> None:
    warp = draw_warp(np.random.default_rng(0), (0.0, 0.0, 0.0), brain_ml=brain_ml)
    assert np.linalg.det(warp.matrix) == pytest.approx(TEMPLATE_BRAIN_ML / brain_ml, rel=1e-6)


def test_the_centre_of_a_subject_is_the_centre_of_the_template() -> None:
    still = Warp(np.diag([1.1, 1.2, 1.3]), (5.0, 6.0, 7.0), np.zeros((3, 9, 9, 9), np.float32))
    here = still.to_template(np.array([[5.0], [6.0], [7.0]]))
    np.testing.assert_allclose(here.ravel(), CENTRE_MM, atol=1e-5)
    beside = still.to_template(np.array([[15.0], [6.0], [7.0]]))
    assert (beside - here).ravel() == pytest.approx([11.0, 0.0, 0.0], abs=1e-4)


def test_a_push_moves_tissue_outwards_and_keeps_its_order() -> None:
    push = Push((1.0, 2.0, 3.0), reach_mm=20.0, strength=0.5)
    radii = np.linspace(0.5, 100.0, 200)
    points = np.array([[1.0], [2.0], [3.0]]) + radii * np.array([[0.6], [0.0], [0.8]])
    before = np.linalg.norm(push.undo(points) - np.array([[1.0], [2.0], [3.0]]), axis=0)
    assert (before < radii).all()
    assert (np.diff(before) > 0).all()
    assert (radii - before).max() > 5.0
    assert radii[-1] - before[-1] < 0.01  # far away nothing moves


def test_a_pushed_warp_shows_at_a_point_what_was_nearer_to_the_tumour() -> None:
    warp = draw_warp(np.random.default_rng(4), (0.0, -21.0, 10.0), brain_ml=1200.0)
    push = Push((30.0, -20.0, 30.0), reach_mm=25.0, strength=0.4)
    point = np.array([[10.0], [-20.0], [30.0]])
    expected = warp.to_template(push.undo(point))
    np.testing.assert_allclose(warp.pushed(push).to_template(point), expected)
    assert np.linalg.norm(expected - warp.to_template(point)) > 3.0
