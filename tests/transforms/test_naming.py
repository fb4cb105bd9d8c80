import torch
from monai.data import MetaTensor

from monai_transfer.transforms.naming import file_of, subject_of


def test_what_was_never_in_a_file_is_called_image():
    assert file_of(torch.zeros(1)) == "image"
    assert file_of(MetaTensor(torch.zeros(1))) == "image"


def test_folders_are_not_shown():
    image = MetaTensor(torch.zeros(1), meta={"filename_or_obj": "/home/someone/scans/t1.nii"})
    assert subject_of({"image": image}, "image") == "t1.nii"
    assert subject_of({"image": image, "subject": "sub-01"}, "image") == "sub-01"
