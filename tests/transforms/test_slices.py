import numpy as np
import pytest
import torch
from monai.data import CacheDataset, MetaTensor

from monai_transfer.errors import InputError
from monai_transfer.transforms import (
    ContiguousSlicesd,
    slice_presence,
    slices_with_image,
    z22,
    z22_slice_size,
)


def volume(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape))).reshape(shape)


def test_slices_are_blocks_of_memory_and_nothing_else_changes():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    image = MetaTensor(volume(2, 4, 5, 6), affine=affine, meta={"filename_or_obj": "t1.nii"})
    laid = ContiguousSlicesd("image")({"image": image})["image"]
    assert torch.equal(torch.as_tensor(laid), volume(2, 4, 5, 6))
    assert all(laid[..., z].is_contiguous() for z in range(6))
    np.testing.assert_array_equal(laid.affine, affine)
    assert laid.meta["filename_or_obj"] == "t1.nii"


def test_a_volume_that_is_laid_out_so_is_not_copied():
    laid = ContiguousSlicesd("image")({"image": volume(1, 4, 5, 6)})["image"]
    again = ContiguousSlicesd("image")({"image": laid})["image"]
    assert again.data_ptr() == laid.data_ptr()


def test_a_cache_keeps_the_layout_when_told_to():
    entry = {"image": volume(1, 4, 5, 6)}
    kept, lost = (
        CacheDataset([entry], ContiguousSlicesd("image"), as_contiguous=c, progress=False)[0]
        for c in (False, True)
    )
    assert kept["image"][..., 3].is_contiguous()
    assert not lost["image"][..., 3].is_contiguous()


def test_a_slice_holds_an_image_where_any_channel_is_not_0():
    image = torch.zeros(2, 3, 3, 5)
    image[0, 1, 1, 1], image[1, 2, 0, 3] = 0.5, -0.5
    assert slices_with_image(image).tolist() == [False, True, False, True, False]


def test_what_is_present_is_told_for_each_slice_on_a_hand_made_volume():
    label = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    label[0, :2, :2, 0] = 3  # slice 0: 3 and background
    label[0, 0, 3, 1], label[0, 3, 3, 1] = 1, 9  # slice 1: 1, 9 and background
    label[0, :, :, 2] = 9  # slice 2: 9 alone
    presence = slice_presence(label, [1, 3, 9, 0])
    assert presence.dtype == torch.float32
    assert presence.tolist() == [[0, 1, 0, 1], [1, 0, 1, 1], [0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("spacing_mm", "side"), [(1.0, 256), (2.0, 128), (3.0, 96), (0.5, 512), (1.5, 192)]
)
def test_sides_cover_the_field_of_view_in_multiples_of_32(spacing_mm, side):
    assert z22_slice_size(spacing_mm) == (side, side)
    assert side % 32 == 0
    assert 256 <= side * spacing_mm < 256 + 32 * spacing_mm


@pytest.mark.parametrize("spacing_mm", [0, -1.0, float("nan")])
def test_what_is_no_spacing_is_refused(spacing_mm):
    with pytest.raises(InputError, match="z22: spacing_mm must be above 0"):
        z22("ms", spacing_mm=spacing_mm)
