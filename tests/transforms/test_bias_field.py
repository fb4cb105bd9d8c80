import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Flip

from monai_transfer.errors import InputError
from monai_transfer.imaging.bias_field import estimate_bias_field
from monai_transfer.imaging.n4 import N4Settings
from monai_transfer.transforms import CorrectBiasField, CorrectBiasFieldd

AFFINE = np.array([[0, -1.0, 0, 7], [0.9, 0, 0, -3], [0, 0, 3.0, 5], [0, 0, 0, 1]])
SPACING_MM = (0.9, 1.0, 3.0)


def images() -> torch.Tensor:
    """Two channels, each with two tissues and a field of its own."""
    draw = np.random.default_rng(0)
    tissue = 60 + 40 * (np.indices((24, 26, 12)).sum(0) // 5 % 2)
    ramp = np.linspace(-0.3, 0.3, 24)[:, None, None]
    both = [tissue * np.exp(slope * ramp) + draw.normal(0, 2, tissue.shape) for slope in (1, -1)]
    return torch.tensor(np.stack(both), dtype=torch.float32)


def mask() -> torch.Tensor:
    inside = torch.zeros(1, 24, 26, 12)
    inside[:, 2:-3, 2:-2, 1:-1] = 1
    return inside


def expected(settings: N4Settings | None = None) -> np.ndarray:
    inside = mask()[0].numpy()
    fields = [
        estimate_bias_field(channel, inside, spacing_mm=SPACING_MM, settings=settings)
        for channel in images().numpy()
    ]
    return images().numpy() / np.stack(fields)


def test_each_channel_is_divided_by_its_own_field():
    found = CorrectBiasField(spacing_mm=SPACING_MM)(images(), mask())
    np.testing.assert_allclose(found, expected(), rtol=1e-5)
    ends = [float(found[i, -4].mean() / found[i, 3].mean()) for i in range(2)]
    assert ends == pytest.approx([1, 1], abs=0.15)
    assert float(images()[0, -4].mean() / images()[0, 3].mean()) > 1.4


def test_a_metatensor_keeps_its_affine_and_history_and_gives_the_spacing():
    image = Flip(0)(Flip(0)(MetaTensor(images(), affine=AFFINE)))
    image.meta["filename_or_obj"] = "sub-01_flair.nii.gz"
    found = CorrectBiasField()(image, MetaTensor(mask(), affine=AFFINE))
    assert isinstance(found, MetaTensor)
    np.testing.assert_array_equal(found.affine, AFFINE)
    assert found.meta["filename_or_obj"] == "sub-01_flair.nii.gz"
    assert found.applied_operations == image.applied_operations
    np.testing.assert_allclose(found.numpy(), expected(), rtol=1e-5)


def test_an_array_stays_an_array():
    found = CorrectBiasField(spacing_mm=SPACING_MM)(images().double().numpy(), mask().numpy())
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(), rtol=1e-5)


def test_the_images_of_a_subject_share_a_mask():
    settings = N4Settings(iterations=(9,), grid_mm=None)
    first, second = images()[:1].numpy(), MetaTensor(images()[1:], affine=AFFINE)
    transform = CorrectBiasFieldd(
        ["t1", "flair"], "brain", settings=settings, spacing_mm=SPACING_MM
    )
    found = transform({"t1": first, "flair": second, "brain": mask(), "subject": "sub-01"})
    wanted = expected(settings)
    np.testing.assert_allclose(found["t1"], wanted[:1], rtol=1e-5)
    np.testing.assert_allclose(found["flair"].numpy(), wanted[1:], rtol=1e-5)
    assert (found["brain"] == mask()).all()
    np.testing.assert_array_equal(first, images()[:1])


def test_the_backend_can_be_itk():
    settings = N4Settings(iterations=(3,))
    ours, theirs = (
        CorrectBiasField(settings, spacing_mm=SPACING_MM, backend=name)(images(), mask())
        for name in ("torch", "itk")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert not torch.equal(ours, theirs)


def test_faults_name_the_subject():
    data = {"t1": torch.zeros(1, 24, 26, 12), "brain": mask(), "subject": "sub-07"}
    with pytest.raises(InputError, match="sub-07: mask must hold a voxel above 0"):
        CorrectBiasFieldd("t1", "brain", spacing_mm=SPACING_MM)(data)
    with pytest.raises(InputError, match=r"spacing must be known\. Give spacing_mm"):
        CorrectBiasField()(images(), mask())
