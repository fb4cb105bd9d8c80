import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.transforms import ExtractBraind

AFFINE = torch.diag(torch.tensor([-2.0, 2.0, 5.0, 1.0], dtype=torch.float64))


def image(*channels: float, name: str = "sub-01_t1.nii.gz") -> MetaTensor:
    voxels = torch.ones(len(channels), 3, 4, 5) * torch.tensor(channels).reshape(-1, 1, 1, 1)
    voxels[:, 0] = 0
    return MetaTensor(voxels, affine=AFFINE, meta={"filename_or_obj": name})


def above_one(head: Image) -> np.ndarray:
    assert head.spacing_mm.tolist() == [2, 2, 5]
    return head.voxels > 1


def test_the_mask_joins_the_image_on_its_grid_and_the_image_stays_as_it_was():
    data = {"image": image(0.5, 2.0), "subject": "sub-01"}
    before = data["image"].clone()
    result = ExtractBraind("image", method=above_one, channel=1)(data)
    assert result["brain"].dtype == torch.uint8
    assert result["brain"][0, :, 0, 0].tolist() == [0, 1, 1]
    assert torch.equal(result["brain"].affine, AFFINE)
    assert torch.equal(result["image"], before)
    assert "brain" not in data


def test_of_several_images_the_mask_is_what_is_brain_in_all():
    other = image(2.0)
    other[0, 1] = 0
    data = {"t1": image(2.0), "flair": other}
    result = ExtractBraind(["t1", "flair"], mask_key="mask", method=above_one)(data)
    assert result["mask"][0, :, 0, 0].tolist() == [0, 0, 1]


def test_images_on_different_grids_are_refused():
    data = {"t1": image(2.0), "flair": image(2.0)[:, :, :, :4], "subject": "sub-07"}
    with pytest.raises(InputError, match="sub-07: images must lie on one grid"):
        ExtractBraind(["t1", "flair"], method=above_one)(data)


def test_a_fault_of_the_method_names_the_subject():
    data = {"image": image(1.0), "subject": "sub-07"}
    with pytest.raises(InputError, match="sub-07: brain extraction: image must show a head"):
        ExtractBraind("image")({**data, "image": data["image"] * 0})


def test_an_unknown_method_is_refused_at_once():
    with pytest.raises(
        InputError, match="must be one of deepbet, hd-bet, synthstrip, unet, got bett"
    ):
        ExtractBraind("image", method="bett")
