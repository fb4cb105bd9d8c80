import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_transfer.imaging.mni152 import SHAPE, template_affine
from monai_transfer.transforms import ToTemplateGridd

FSL = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])


def spot(affine: np.ndarray, shape=(182, 218, 182), at=(60, 70, 80)) -> MetaTensor:
    """An image that is 1 in one voxel of a 2³ block, 3 in its neighbour."""
    voxels = torch.zeros(1, *shape)
    voxels[0, at[0], at[1], at[2]] = 1
    voxels[0, at[0] + 1, at[1], at[2]] = 3
    return MetaTensor(voxels, affine=affine)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_a_voxel_goes_to_its_place_in_the_world(mode):
    # FSL's voxel (60, 70, 80) lies at (30, −56, 8) mm, the template's (128, 78, 80); x is mirrored
    there = ToTemplateGridd(["image"], [mode])({"image": spot(FSL)})["image"]
    assert there.shape == (1, *SHAPE)
    np.testing.assert_array_equal(there.affine, template_affine())
    assert there[0, 128, 78, 80] == pytest.approx(1, abs=1e-3)
    assert there[0, 127, 78, 80] == pytest.approx(3, abs=1e-3)
    assert there.sum() == pytest.approx(4, abs=1e-3)


def test_an_image_that_is_on_the_grid_stays_bit_for_bit():
    image = MetaTensor(torch.rand(1, *SHAPE), affine=template_affine())
    assert torch.equal(ToTemplateGridd(["image"], ["bilinear"])({"image": image})["image"], image)


def test_outside_of_the_image_is_zero():
    image = MetaTensor(torch.ones(1, 20, 20, 20), affine=template_affine())
    there = ToTemplateGridd(["image"], ["bilinear"])({"image": image})["image"]
    assert there.sum() == pytest.approx(20**3, rel=0.01)
    assert there[0, 30:].abs().max() == 0


def test_the_inverse_puts_a_label_back_and_restores_the_affine():
    label = (torch.rand(1, 40, 44, 36) > 0.7).to(torch.uint8)
    affine = FSL.copy()
    affine[:3, 3] = 30, -60, -20
    data = {"label": MetaTensor(label, affine=affine)}
    grid = ToTemplateGridd(["label"], ["nearest"])
    back = grid.inverse(grid(data))["label"]
    assert torch.equal(back.to(torch.uint8).as_tensor(), label)
    np.testing.assert_allclose(back.affine, affine, atol=1e-6)
