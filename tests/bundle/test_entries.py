from pathlib import Path
from typing import Any

import pytest

from monai_transfer.bundle.entries import located_lists
from monai_transfer.errors import InputError

FOLDER = Path("/data")


def content(*training: Any, modalities: tuple[str, ...] = ("flair", "t1"), **lists: Any) -> Any:
    named = {str(index): name for index, name in enumerate(modalities)}
    return {"modality": named, "training": list(training), **lists}


def located(entry: Any, wanted: list[str], **kwargs: Any) -> dict[str, Any]:
    (found,) = located_lists(content(entry, **kwargs), FOLDER, wanted)["training"]
    return found


def test_one_file_per_modality_is_put_into_the_asked_order():
    entry = {"image": ["f.nii", "t.nii"], "label": "l.nii", "subject": "a", "group": "HGG"}
    assert located(entry, ["t1", "flair"]) == {
        "image": ["/data/t.nii", "/data/f.nii"],
        "label": "/data/l.nii",
        "subject": "a",
        "group": "HGG",
    }
    assert entry["image"] == ["f.nii", "t.nii"]  # the datalist is left as it was


def test_modalities_are_ordered_by_their_number_not_as_text():
    names = tuple(f"m{index}" for index in range(11))
    entry = {"image": [f"{name}.nii" for name in names]}
    assert located(entry, ["m10", "m2"], modalities=names)["image"] == [
        "/data/m10.nii",
        "/data/m2.nii",
    ]


def test_names_of_modalities_are_compared_without_case():
    assert located({"image": ["f", "t"]}, ["t1"], modalities=("FLAIR", "T1"))["image"] == [
        "/data/t"
    ]


@pytest.mark.parametrize("image", ["four.nii", ["four.nii"]])
def test_a_4d_file_in_the_bundles_order_is_taken_as_it_is(image: Any):
    assert located({"image": image}, ["flair", "t1"])["image"] == "/data/four.nii"


@pytest.mark.parametrize("wanted", [["t1", "flair"], ["flair"], ["t1"]])
def test_a_4d_file_with_others_or_in_another_order_is_refused(wanted: list[str]):
    with pytest.raises(InputError, match=r"4D image must hold .* in this order, got flair, t1"):
        located({"image": "four.nii"}, wanted)


def test_a_bare_path_of_a_test_image_is_an_entry():
    lists = located_lists(content(test=["imagesTs/x.nii.gz"], modalities=("t1",)), FOLDER, ["t1"])
    assert lists["test"] == [{"image": ["/data/imagesTs/x.nii.gz"], "subject": "x"}]


def test_a_subject_without_a_name_is_called_after_its_file_and_folder_if_need_be():
    entries = [{"image": ["a/t1.nii.gz"]}, {"image": ["b/t1.nii.gz"]}, {"image": ["./c/x.nii"]}]
    lists = located_lists(content(*entries, modalities=("t1",)), FOLDER, ["t1"])
    assert [entry["subject"] for entry in lists["training"]] == ["a_t1", "b_t1", "x"]


def test_a_subject_can_be_a_file_name_and_never_leads_out_of_a_folder():
    entry = {"image": ["f", "t"], "subject": "../../centre/7"}
    assert located(entry, ["t1"])["subject"] == ".._.._centre_7"


def test_lists_that_are_not_there_are_empty():
    lists = located_lists(content(), FOLDER, ["t1"])
    assert lists == {"training": [], "validation": [], "test": []}
