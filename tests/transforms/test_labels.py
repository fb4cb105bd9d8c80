import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import MapLabelValue

from monai_transfer.errors import InputError
from monai_transfer.transforms import ClassIndexd, class_indices

BRATS = [0, 1, 2, 4]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_each_value_becomes_its_place_in_the_list(dtype):
    label = np.array([[0, 1, 2, 4], [4, 4, 0, 2]], dtype)
    index = class_indices(label, BRATS)
    assert index.tolist() == [[0, 1, 2, 3], [3, 3, 0, 2]]
    assert index.dtype == np.uint8


def test_it_agrees_with_monais_mapping_on_a_whole_subject(phantom):
    theirs = MapLabelValue(BRATS, [0, 1, 2, 3])(phantom.label)
    np.testing.assert_array_equal(class_indices(phantom.label, BRATS), np.asarray(theirs))


def test_values_may_be_listed_in_any_order():
    assert class_indices(np.array([0, 1, 2]), [2, 0, 1]).tolist() == [1, 2, 0]


def test_several_values_may_be_one_class():
    label = np.array([0, 1, 2, 3, 4], np.float32)
    assert class_indices(label, [0, (1, 2, 3, 4)]).tolist() == [0, 1, 1, 1, 1]
    assert class_indices(label, [0, [1, 3], 2, 4]).tolist() == [0, 1, 2, 1, 3]
    with pytest.raises(InputError, match="must be one of 0, 1, 2, 4, got 3"):
        class_indices(label, [0, [1, 2, 4]])


@pytest.mark.parametrize(
    ("value", "values", "message"),
    [
        (3, BRATS, "must be one of 0, 1, 2, 4, got 3"),  # would pass for the index of 4
        (4, [0, 1], "must be one of 0, 1, got 4"),
        (-1, BRATS, "got -1"),
        (0.999, BRATS, "got 0.999"),
        (np.nan, BRATS, "got nan"),
        (0, [1, 2], "must be one of 1, 2, got 0"),
    ],
)
def test_a_value_that_is_not_declared_is_refused(value, values, message):
    label = np.array([values[0], value, values[1]], np.float32)
    with pytest.raises(InputError, match=message):
        class_indices(label, values)


def test_the_transform_keeps_the_geometry_and_names_the_subject():
    label = MetaTensor(torch.tensor([[[[0.0, 4.0]]]]), affine=np.diag([1.0, 1, 3, 1]))
    result = ClassIndexd("label", BRATS)({"label": label, "subject": "Brats18_A"})["label"]
    assert result.tolist() == [[[[0, 3]]]]
    assert result.dtype == torch.uint8
    assert torch.equal(result.affine, label.affine)
    assert label.tolist() == [[[[0, 4]]]]
    with pytest.raises(InputError, match=r"Brats18_A: label: values must be one of 0, 1, got 4"):
        ClassIndexd("label", [0, 1])({"label": label, "subject": "Brats18_A"})
