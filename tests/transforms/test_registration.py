from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import LinearTransform, mni152, mni152_focus, resample
from monai_transfer.transforms import Registerd, RegisterToMNI152d

FIXED_AFFINE = np.diag([2.0, 2, 3, 1])
MOVING_AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.5, 0, 40], [0, 0, 4, 0], [0, 0, 0, 1.0]])
TRUTH = LinearTransform(
    np.array([[1.0, 0.1, 0, 2], [-0.1, 1.0, 0, -3], [0, 0, 1, 1], [0, 0, 0, 1]])
)


class Known:
    """A method that knows the answer and remembers the question."""

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> LinearTransform:
        self.asked = fixed, moving, fixed_mask
        return TRUTH


@pytest.fixture
def subject() -> dict[Hashable, Any]:
    rng = np.random.default_rng(0)
    t1 = torch.from_numpy(rng.normal(size=(2, 28, 27, 10)).astype(np.float32))
    label = (t1[:1] > 0.8).to(torch.uint8) * 4
    return {
        "subject": "sub-07",
        "flair": MetaTensor(torch.ones(1, 20, 21, 12), affine=torch.from_numpy(FIXED_AFFINE)),
        "t1": MetaTensor(
            t1, affine=torch.from_numpy(MOVING_AFFINE), meta={"filename_or_obj": "t1.nii"}
        ),
        "label": MetaTensor(label, affine=torch.from_numpy(MOVING_AFFINE)),
    }


def registered(method: Known) -> Registerd:
    return Registerd(
        ["t1", "label"], "flair", moving="t1", labels="label", fixed_mask="flair", method=method
    )


def test_images_and_labels_come_onto_the_fixed_grid(subject: dict[Hashable, Any]):
    found = registered(Known())(subject)
    grid = Image(np.ones((20, 21, 12)), FIXED_AFFINE)
    for key, kind in (("t1", "linear"), ("label", "nearest")):
        assert found[key].shape == (len(subject[key]), 20, 21, 12)
        np.testing.assert_array_equal(found[key].affine, FIXED_AFFINE)
        for channel, values in enumerate(subject[key].numpy()):
            source = Image(values, MOVING_AFFINE)
            expected = resample(source, grid, transform=TRUTH, interpolation=kind).voxels
            np.testing.assert_array_equal(found[key][channel], expected)
    assert found["label"].dtype == torch.uint8
    assert found["t1"].meta["filename_or_obj"] == "t1.nii"
    assert subject["t1"].shape == (2, 28, 27, 10)  # what was given is left alone


def test_the_method_is_asked_for_the_first_channels(subject: dict[Hashable, Any]):
    method = Known()
    registered(method)(subject)
    fixed, moving, mask = method.asked
    np.testing.assert_array_equal(fixed.affine, FIXED_AFFINE)
    np.testing.assert_array_equal(moving.voxels, subject["t1"][0])
    np.testing.assert_array_equal(moving.affine, MOVING_AFFINE)
    assert mask is not None
    assert mask.shape == fixed.shape


def test_the_inverse_leads_back_to_the_native_grid(subject: dict[Hashable, Any]):
    transform = registered(Known())
    back = transform.inverse(transform(subject))
    for key in ("t1", "label"):
        assert back[key].shape == subject[key].shape
        np.testing.assert_allclose(back[key].affine, MOVING_AFFINE)
        assert not back[key].applied_operations
    inside = np.s_[:, 10:18, 10:18, 3:8]
    assert (back["label"][inside] == subject["label"][inside]).float().mean() > 0.7


@pytest.mark.parametrize("nearest", [True, False])
def test_a_prediction_goes_back_with_monais_own_invertd(
    subject: dict[Hashable, Any], *, nearest: bool
):
    preset = Compose([registered(Known())])
    data = preset(subject)
    plane = torch.zeros(1, 20, 21, 12)
    plane[:, :, :10] = 3.0
    data["pred"] = MetaTensor(plane, affine=data["t1"].affine)
    invert = Invertd("pred", preset, orig_keys="t1", nearest_interp=nearest, to_tensor=True)
    native = invert(data)["pred"]
    np.testing.assert_allclose(native.affine, MOVING_AFFINE)
    grid = Image(np.ones((28, 27, 10)), MOVING_AFFINE)
    expected = resample(
        Image(plane[0].numpy(), FIXED_AFFINE),
        grid,
        transform=TRUTH.inverse(),
        interpolation="nearest" if nearest else "linear",
    )
    np.testing.assert_allclose(native[0], expected.voxels, atol=1e-6)
    assert (set(native.unique().tolist()) == {0.0, 3.0}) == nearest


def test_the_template_is_the_fixed_image_and_its_brain_the_mask(subject: dict[Hashable, Any]):
    method = Known()
    found = RegisterToMNI152d(["t1", "label"], moving="t1", labels=["label"], method=method)(
        subject
    )
    assert found["t1"].shape[1:] == mni152().shape
    np.testing.assert_array_equal(found["label"].affine, mni152().affine)
    assert method.asked[0] is mni152()
    assert method.asked[2] is mni152_focus()


def test_what_a_method_refuses_names_the_subject(subject: dict[Hashable, Any]):
    subject["t1"] = subject["t1"] * 0
    with pytest.raises(InputError, match="sub-07: registration: moving image must vary"):
        Registerd(["t1"], "flair", moving="t1", fixed_mask="flair")(
            subject | {"flair": subject["flair"] + torch.rand(1, 20, 21, 12)}
        )


def test_labels_outside_the_keys_are_refused():
    with pytest.raises(InputError, match=r"labels must be among the keys, got \['lesion'\]"):
        Registerd(["t1"], "flair", moving="t1", labels=["lesion"])
