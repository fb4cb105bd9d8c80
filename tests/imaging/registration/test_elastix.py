from collections.abc import Callable

import itk
import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import ElastixRegistration, from_ras
from monai_transfer.imaging.registration.elastix import _linear

TILTED = np.array(
    [[0.985, -0.174, 0, 5], [0.171, 0.97, -0.174, -8], [0.03, 0.171, 0.985, 3], [0, 0, 0, 1]]
)


def test_elastix_finds_a_tilted_head(brain: dict[str, Image], error_mm: Callable):
    t1, flair = (brain[name] for name in ("t1", "flair"))
    mask = flair.with_voxels((flair.voxels > 0).astype(np.uint8))
    u, _, v = np.linalg.svd(TILTED[:3, :3])
    tilted = TILTED.copy()
    tilted[:3, :3] = u @ v
    moving = Image(t1.voxels.astype(np.int16), tilted @ t1.affine)
    method = ElastixRegistration(threads=1, samples=1000, iterations=50)
    found = method(flair, moving, fixed_mask=mask)
    assert error_mm(found, from_ras(tilted), t1).mean() < 0.6


def test_rigid_parameters_are_those_of_itk():
    numbers = ["0.3", "-0.2", "0.5", "7", "-8", "9"]
    stage = {
        "Transform": ["EulerTransform"],
        "TransformParameters": numbers,
        "CenterOfRotationPoint": ["10", "20", "-30"],
    }
    by_itk = itk.Euler3DTransform[itk.D].New()
    by_itk.SetCenter([10, 20, -30])
    parameters = by_itk.GetParameters()
    for index, number in enumerate(numbers):
        parameters.SetElement(index, float(number))
    by_itk.SetParameters(parameters)
    points = np.random.default_rng(0).uniform(-80, 80, (10, 3))
    expected = [tuple(by_itk.TransformPoint(point)) for point in points.tolist()]
    np.testing.assert_allclose(_linear(stage).points(points), expected, atol=1e-9)


def test_what_elastix_says_is_passed_on(brain: dict[str, Image]):
    empty = brain["t1"].with_voxels(np.zeros(brain["t1"].shape, np.uint8))
    with pytest.raises(
        InputError, match=r"elastix: images must be alignable, got .*No valid voxels"
    ):
        ElastixRegistration(threads=1)(brain["t1"], brain["flair"], fixed_mask=empty)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="kind must be one of"):
        ElastixRegistration("bspline")
