"""What diseases share."""

import numpy as np
import pytest

from monai_transfer.simulation.pathology import soft_step, threshold_for_volume


@pytest.mark.parametrize("voxels", [1, 37, 999])
def test_exactly_so_many_voxels_exceed_the_threshold(voxels: int) -> None:
    score = np.random.default_rng(0).permutation(1000).astype(np.float32)
    assert (score > threshold_for_volume(score, voxels)).sum() == voxels


def test_nothing_or_everything_exceeds_the_threshold_at_the_ends() -> None:
    score = np.arange(5, dtype=np.float32)
    assert (score > threshold_for_volume(score, 0.2)).sum() == 0
    assert (score > threshold_for_volume(score, 9)).sum() == 5


def test_a_soft_step_is_half_on_the_surface() -> None:
    inside = soft_step(np.array([-2.0, -0.5, 0.0, 0.5, 2.0], np.float32), 2.0)
    assert inside.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
