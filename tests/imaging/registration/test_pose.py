import numpy as np
from scipy.spatial.transform import Rotation

from monai_transfer.imaging.registration.pose import Centres, pose, pose_slopes, turns

CENTRES = Centres(np.array([10.0, -20.0, 30.0]), np.array([-5.0, 0.0, 2.0]))
NUMBERS = np.array([1.0, 2, 3, 20, -10, 30, 2, -3, 4, 1, -1, 0.5])


def test_six_numbers_are_rigid_and_send_one_centre_to_the_other_plus_the_shift():
    matrix = pose(NUMBERS[:6], CENTRES)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) > 0
    np.testing.assert_allclose((matrix @ [10, -20, 30, 1])[:3], [-4, 2, 5])


def test_twelve_numbers_turn_after_a_symmetric_stretch():
    linear = pose(NUMBERS, CENTRES)[:3, :3]
    turn = Rotation.from_rotvec(NUMBERS[3:6] / 70).as_matrix()
    stretch = turn.T @ linear
    np.testing.assert_allclose(stretch, stretch.T, atol=1e-12)
    # its determinant is that of the stretches along the axes
    np.testing.assert_allclose(np.linalg.det(linear), np.exp((2 - 3 + 4) / 70))


def test_slopes_tell_how_the_map_changes():
    step = 1e-2 * np.random.default_rng(0).normal(size=12)
    change = (pose(NUMBERS + step, CENTRES) - pose(NUMBERS - step, CENTRES))[:3]
    predicted = np.tensordot(2 * step, pose_slopes(NUMBERS, CENTRES), axes=1)
    np.testing.assert_allclose(change, predicted, atol=1e-6)


def test_turns_go_every_way_by_one_angle():
    found = turns(25.0)
    assert found.shape == (27, 6)
    assert not found[0].any()
    assert not found[:, :3].any()
    angles = np.rad2deg(np.linalg.norm(found[1:, 3:] / 70, axis=1))
    np.testing.assert_allclose(angles, 25.0)
    assert len(np.unique(found.round(6), axis=0)) == 27
