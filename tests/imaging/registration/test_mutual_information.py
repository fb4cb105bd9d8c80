import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline

from monai_transfer.imaging import Image
from monai_transfer.imaging.registration.mutual_information import (
    GRADES,
    MutualInformation,
    Samples,
)

AFFINE = np.array([[-1.5, 0.1, 0, 12], [0.2, 1.4, 0, -12], [0, 0, 3.0, -9], [0, 0, 0, 1.0]])
MATRIX = np.array([[1.0, 0.1, 0, 0.4], [-0.1, 0.98, 0, 0.3], [0, 0, 1, -0.2], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def moving() -> Image:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(18, 17, 8)), 1.5)
    scaled = (noise - noise.min()) / np.ptp(noise) * GRADES
    return Image(scaled.astype(np.float32), AFFINE)


@pytest.fixture(scope="module")
def samples() -> Samples:
    rng = np.random.default_rng(2)
    points = rng.uniform([-3, -8, -5], [9, 4, 7], (3000, 3))
    grades = np.clip(np.rint(points @ [1, 1, 0.5] + 15 + rng.normal(size=3000)), 0, GRADES)
    return Samples(points, grades.astype(np.intp))


def test_the_value_is_that_of_the_formula(moving: Image, samples: Samples):
    value, _, overlap = MutualInformation(samples, moving)(MATRIX)
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    mapped = samples.points_mm @ MATRIX[:3, :3].T + MATRIX[:3, 3]
    index = np.linalg.solve(lps[:3, :3], (mapped - lps[:3, 3]).T)
    grades = ndimage.map_coordinates(moving.voxels, index, order=1)
    spline = BSpline.basis_element(np.arange(-2.0, 3))
    bins = np.arange(-2, GRADES + 3)
    shares = spline(np.clip(grades[:, None] - bins, -2, 2))
    joint = np.zeros((GRADES + 1, bins.size))
    np.add.at(joint, samples.grades, shares)
    joint /= joint.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))
    assert overlap == pytest.approx(1.0)
    assert value == pytest.approx(np.nansum(terms), rel=1e-4)


def test_the_gradient_tells_how_the_value_changes(moving: Image, samples: Samples):
    metric = MutualInformation(samples, moving)
    _, gradient, _ = metric(MATRIX)
    rng = np.random.default_rng(3)
    for _ in range(5):
        step = np.zeros((4, 4))
        step[:3] = rng.normal(size=(3, 4)) * [1e-3, 1e-3, 1e-3, 1e-2]
        change = metric(MATRIX + step)[0] - metric(MATRIX - step)[0]
        assert change == pytest.approx(2 * (step[:3] * gradient).sum(), rel=0.05, abs=2e-5)


def test_an_image_that_says_nothing_has_no_information(moving: Image, samples: Samples):
    flat = moving.with_voxels(np.full(moving.shape, 7, np.float32))
    value, gradient, _ = MutualInformation(samples, flat)(MATRIX)
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


def test_samples_outside_count_less_and_less_over_one_voxel(moving: Image, samples: Samples):
    metric = MutualInformation(samples, moving)
    away = np.eye(4)
    overlaps = []
    for shift_mm in (0.0, 14.0, 16.0, 100.0):
        away[2, 3] = shift_mm
        overlaps.append(metric(away)[2])
    assert overlaps[0] == pytest.approx(1)
    assert overlaps[0] > overlaps[1] > overlaps[2] > overlaps[3] == 0


def test_a_single_slice_is_no_fault(moving: Image, samples: Samples):
    one = Image(moving.voxels[:, :, 3:4], moving.affine)
    value, gradient, _ = MutualInformation(samples, one)(MATRIX)
    assert value > 0
    assert np.isfinite(gradient).all()
