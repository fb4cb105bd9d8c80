import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_transfer.errors import InputError
from monai_transfer.imaging import RECIPES, StandardScale
from monai_transfer.transforms import CheckPreparedd


def test_a_subject_that_was_not_prepared_is_named_with_all_that_is_wrong():
    head = MetaTensor(torch.ones(2, 40, 40, 20), affine=np.diag([0.9, 0.9, 3.0, 1.0]))
    with pytest.raises(InputError) as caught:
        CheckPreparedd("image", RECIPES["gl20"])({"image": head, "subject": "sub-03"})
    assert str(caught.value) == (
        "sub-03: image must be prepared as for gl20 (Giacomello 2020, section IV-B), got voxels "
        "of 0.9×0.9×3 mm, not 1×1×1 mm; 0 % of the voxels are 0: the brain is not extracted. "
        "Run monai-transfer preprocess with --preset gl20; to take images as they are, give a "
        "bundle --prepared '$None'."
    )


def test_what_is_only_likely_is_told_and_the_subject_passes():
    voxels = torch.zeros(1, 60, 60, 60)
    voxels[:, 10:50, 10:50, 10:50] = -5
    data = {"image": MetaTensor(voxels, affine=np.eye(4)), "subject": "sub-05"}
    with pytest.warns(UserWarning, match=r"^sub-05: image must be prepared as for gl20.*below 0"):
        assert CheckPreparedd("image", RECIPES["gl20"])(data) is data


def test_a_fault_in_an_image_that_is_looked_at_is_its_subjects():
    voxels = torch.zeros(1, 60, 60, 60)
    voxels[:, 20:40, 20:40, 20:40] = torch.nan
    scale = StandardScale({"t1": tuple(map(float, range(11)))}, 1)
    check = CheckPreparedd("image", RECIPES["gl20"], scale=scale, modalities=["t1"])
    with pytest.raises(InputError, match=r"^sub-04: values must be finite"):
        check({"image": MetaTensor(voxels, affine=np.eye(4)), "subject": "sub-04"})


def test_a_subject_that_was_prepared_passes_unchanged():
    voxels = torch.zeros(1, 60, 60, 60)
    voxels[:, 10:50, 10:50, 10:50] = 5
    data = {"image": MetaTensor(voxels, affine=np.eye(4)), "note": "kept"}
    assert CheckPreparedd("image", RECIPES["gl20"])(data) is data
