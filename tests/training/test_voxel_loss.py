import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import LabelMapCrossEntropy, class_weights, median_frequency_weights


def stored(path, label, *, affine=None) -> dict[str, str]:
    nib.save(
        nib.Nifti1Image(np.asarray(label, np.uint8), np.eye(4) if affine is None else affine), path
    )
    return {"label": str(path)}


@pytest.mark.parametrize("weights", [None, [1.0, 7.0, 0.5]])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_it_is_torchs_on_label_maps_with_a_channel(weights, kind):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=rng)
    label = torch.randint(3, (2, 1, 4, 5), generator=rng)
    plain = nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights))
    expected = plain(logits, label[:, 0])
    assert torch.equal(LabelMapCrossEntropy(weights)(logits, label.to(kind)), expected)


def test_a_class_is_rare_by_the_slices_that_hold_it(tmp_path):
    # Slices of 10 voxels. Class 1: 2 of 10 in one slice of the first file and 1 of 10 in one of the
    # second: 3 of 20. Class 2: 4 of 10 in one slice. Background: 8 + 10 + 9 + 6 of 40.
    first, second = np.zeros((2, 5, 2, 2), np.uint8)
    first[:2, 0, 0] = 5
    second[0, 0, 0] = 5
    second[:2, :, 1] = 7
    entries = [stored(tmp_path / f"{i}.nii.gz", v) for i, v in enumerate((first, second))]
    frequency = np.array([33 / 40, 3 / 20, 4 / 10])
    expected = 4 / 10 / frequency  # the median of the three is 0.4
    np.testing.assert_allclose(median_frequency_weights(entries, [0, 5, 7]), expected, rtol=1e-12)
    assert median_frequency_weights(entries, [0, 5, 7])[1] < class_weights(entries, [0, 5, 7])[1]


def test_a_class_that_no_label_holds_has_the_weight_1_and_no_part_in_the_median(tmp_path):
    label = np.zeros((4, 4, 1), np.uint8)
    label[0] = 1
    entry = stored(tmp_path / "label.nii", label)  # 12 and 4 of 16: the median is 1/2
    np.testing.assert_allclose(median_frequency_weights([entry], [0, 1, 2]), [2 / 3, 2, 1])
    assert median_frequency_weights([], [0, 1]) == [1.0, 1.0]


def test_slices_are_axial_however_the_label_is_stored(tmp_path):
    rng = np.random.default_rng(0)
    label = (rng.random((6, 7, 5)) < 0.04).astype(np.uint8)
    plain = nib.Nifti1Image(label, np.eye(4))
    nib.save(plain, tmp_path / "ras.nii")
    turned = plain.as_reoriented(np.array([[2, -1], [0, 1], [1, 1]]))  # axes exchanged
    nib.save(turned, tmp_path / "other.nii")
    assert nib.aff2axcodes(turned.affine)[2] != "S"
    ras, other = ([{"label": str(tmp_path / f"{name}.nii")}] for name in ("ras", "other"))
    assert median_frequency_weights(ras, [0, 1]) == median_frequency_weights(other, [0, 1])


def test_a_value_that_is_not_declared_is_refused_by_file(tmp_path):
    entry = stored(tmp_path / "odd.nii", [[[0, 3]]])
    with pytest.raises(InputError, match=r"odd\.nii: values must be one of 0, 1, got 3"):
        median_frequency_weights([entry], [0, 1])
