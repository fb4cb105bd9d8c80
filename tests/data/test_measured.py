import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data.measured import Measured, measure

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def file(tmp_path):
    """Writes voxels, and measures them."""

    def write(voxels, *, affine=AFFINE, is_label=False, slope=None, order="<"):
        image = nib.Nifti1Image(voxels, affine, nib.Nifti1Header(endianness=order))
        image.set_data_dtype(voxels.dtype)
        if slope is not None:
            image.header.set_slope_inter(slope, 0)
        nib.save(image, tmp_path / "a.nii.gz")
        return measure(tmp_path / "a.nii.gz", is_label=is_label)

    return write


def picture(seed=0, shape=(20, 21, 22)):
    voxels = np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)
    voxels[:5] = 0
    return voxels


@pytest.mark.parametrize("is_label", [False, True])
def test_measurements_survive_being_text(file, is_label):
    for voxels in (picture(), np.stack([picture(1), picture(2)], -1)):
        measured = file(voxels, is_label=is_label)
        assert Measured.from_json(measured.to_json()) == measured


def test_measurements_of_what_is_not_finite_or_no_rotation_survive_too(file, tmp_path):
    measured = file(np.where(picture() == 7, np.nan, picture()).astype(np.float32))
    assert measured.nonfinite.startswith(f"{(picture() == 7).sum()} voxels, first at (")
    assert Measured.from_json(measured.to_json()) == measured
    unread = measure(tmp_path / "none.nii", is_label=False)
    assert Measured.from_json(unread.to_json()).damage == ("G201", "no file")


def test_the_same_picture_has_one_digest_in_any_type_and_another_picture_another(file):
    digests = {
        file(picture()).channels[0].digest,
        file(picture().astype(np.float64), order=">").channels[0].digest,
        file(picture().astype(np.int32), affine=AFFINE * 2).channels[0].digest,
    }
    assert len(digests) == 1
    assert file(picture(1)).channels[0].digest not in digests
    assert file(np.moveaxis(picture(), 0, 1)).channels[0].digest not in digests


@pytest.mark.parametrize(
    "change",
    [
        {"affine": AFFINE + np.eye(4)[[3, 1, 2, 0]] * 1e-3},
        {"order": ">"},
        {"slope": 2},
        {"voxel": 1},
    ],
)
def test_the_content_is_another_after_any_change_of_voxels_or_place(file, change):
    good = file(picture()).content
    voxels = picture()
    voxels[7, 7, 7] += change.pop("voxel", 0)
    assert file(voxels, **change).content != good
    assert file(picture()).content == good


def test_masks_have_no_digest_and_pictures_of_few_voxels_no_quantiles(file):
    mask = (picture() > 400).astype(np.uint8)
    assert file(mask).channels[0].digest == ""
    few = np.zeros((20, 21, 22), np.int16)
    few[3, 3, :20] = np.arange(20)
    assert file(few).channels[0].quantiles == ()


def test_values_are_those_a_network_is_given(file):
    (channel,) = file(picture(), slope=-0.5).channels
    assert (channel.low, channel.high) == (-0.5 * picture().max(), 0)
    inside = picture()[picture() != 0] * -0.5
    np.testing.assert_allclose(channel.quantiles[4], np.median(inside))


def test_label_values_are_counted_and_long_lists_cut(file):
    label = np.zeros((20, 21, 22), np.uint8)
    label[1], label[2, 0] = 1, 4
    values = file(label, is_label=True).label
    assert values.counts == {0: 18 * 21 * 22 + 20 * 22, 1: 21 * 22, 4: 22}
    assert values.more == 0
    values = file(np.arange(9240, dtype=np.int16).reshape(20, 21, 22), is_label=True).label
    assert [*values.counts.items()] == [(float(n), 1) for n in range(256)]
    assert values.more == 9240 - 256


def test_labels_have_one_digest_in_any_type_and_empty_ones_none(file):
    label = np.zeros((20, 21, 22), np.uint8)
    assert file(label, is_label=True).label.digest == ""
    label[4] = 2
    good = file(label, is_label=True).label.digest
    assert file(label.astype(np.float32), is_label=True).label.digest == good
    assert file(label // 2, is_label=True).label.digest != good
    assert file(np.roll(label, 1, 0), is_label=True).label.digest != good
