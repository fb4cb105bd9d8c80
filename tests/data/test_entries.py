import copy

import pytest

from monai_transfer.data import RULES, check_datalist

A = "HGG/Brats18_A_1/Brats18_A_1"


COUNTS = ("numTraining", "numValidation", "numTest")


def check(cohort):
    return check_datalist(cohort.datalist, cohort.root)


@pytest.fixture
def cohort(cohort):
    """Of which the lists can be changed without a word about how long they are said to be."""
    for count in COUNTS:
        del cohort.datalist[count]
    return cohort


# What is done to the datalist → code, where (subject: file), value


def datalist_without(key):
    return lambda cohort: cohort.datalist.pop(key)


def datalist_with(key, value):
    return lambda cohort: cohort.datalist.update({key: value})


def entry_without(key):
    return lambda cohort: cohort.entry().pop(key)


def entry_with(key, value):
    return lambda cohort: cohort.entry().update({key: value})


def append(split, value):
    return lambda cohort: cohort.datalist[split].append(value)


def list_again(split, **changes):
    return lambda cohort: cohort.datalist[split].append(
        copy.deepcopy(cohort.datalist["training"][0]) | changes
    )


def empty(cohort):
    for split in ("training", "validation", "test"):
        cohort.datalist[split] = []


LISTS = [
    (datalist_without("modality"), "G101", "datalist: key modality", "no such key"),
    (datalist_without("labels"), "G101", "datalist: key labels", "no such key"),
    (datalist_with("modality", {"1": "t1"}), "G102", "datalist: modality", "{'1': 't1'}"),
    (
        datalist_with("modality", dict(zip("0123", ["t1", "t1", "t2", "flair"], strict=True))),
        "G102", "datalist: modality", "'1': 't1'",
    ),
    (datalist_with("modality", ["t1"]), "G102", "datalist: modality", "['t1']"),
    (datalist_with("labels", {"background": 0}), "G103", "datalist: labels", "'background'"),
    (datalist_with("labels", {}), "G103", "datalist: labels", "{}"),
    (datalist_with("labels", {"9" * 5000: "x"}), "G103", "datalist: labels", "{'999"),
    (datalist_with("test", {"image": "a.nii"}), "G104", "datalist: test", "a JSON dict"),
    (append("training", {}), "G105", "training[2]: entry", "{}"),
    (append("training", "a.nii.gz"), "G105", "training[2]: entry", "'a.nii.gz'"),
    (append("validation", 3), "G105", "validation[1]: entry", "3"),
    (append("validation", {"image": []}), "G105", "validation[1]: entry", "{'image': []}"),
    (append("validation", {"image": ["a.nii", ""]}), "G105", "validation[1]: entry", "''"),
    (append("test", {"image": None}), "G105", "test[0]: entry", "{'image': None}"),
    (entry_without("label"), "G106", "Brats18_A_1: entry", "none"),
    (entry_with("label", ""), "G106", "Brats18_A_1: entry", "''"),
    (entry_with("label", ["a.nii"]), "G106", "Brats18_A_1: entry", "['a.nii']"),
    (
        entry_with("image", [f"{A}_t1.nii.gz", f"{A}_t2.nii.gz"]),
        "G107", "Brats18_A_1: image", "2 images for 4 modalities",
    ),
    (entry_with("label", "../seg.nii.gz"), "G108", "Brats18_A_1: ../seg.nii.gz", "a way out"),
    (entry_with("label", f"HGG/../{A}_seg.nii.gz"), "G108", "Brats18_A_1: HGG/..", "a way out"),
    (entry_with("label", "/data/seg.nii.gz"), "G108", "Brats18_A_1: /data/seg", "a way out"),
    (empty, "G109", "datalist: lists", "none"),
    (entry_with("patient", 7), "G110", "Brats18_A_1: patient", "7"),
    (entry_with("group", None), "G110", "Brats18_A_1: group", "None"),
    (entry_with("group", "$__import__('os')"), "G111", "Brats18_A_1: entry", "__import__"),
    (entry_with("fold", {"of": ["@network"]}), "G111", "Brats18_A_1: entry", "'@network'"),
    (datalist_with("name", " %train.json::key"), "G111", "datalist: name", "%train.json"),
    (
        datalist_with("labels", {"0": "", "1": "$1", "2": "", "4": ""}),
        "G111", "datalist: labels", "'$1'",
    ),
    (datalist_with("numTraining", 20), "G112", "datalist: numTraining", "20 for 2"),
    (datalist_with("numTest", "0"), "G112", "datalist: numTest", "'0' for 0"),
    (
        entry_with("image", [f"{A}_{token}.nii.gz" for token in ("t1", "t1", "t2", "flair")]),
        "G113", "Brats18_A_1: HGG/", "it 2 times",
    ),
    (
        lambda cohort: cohort.entry().update(label=f"./{A}_t1.nii.gz"),
        "G113", "Brats18_A_1: HGG/", "it 2 times",
    ),
    (
        list_again("training"),
        "G601", "Brats18_", "training[0], training[2]",
    ),
    (
        list_again("test", subject="Brats18_X_1"),
        "G602", "Brats18_", "training[0], test[0]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "code", "where", "value"), LISTS)
def test_a_fault_of_the_datalist_is_the_only_one_reported(cohort, harm, code, where, value):
    harm(cohort)
    # a label that is an image has other faults, too
    (fault,) = [fault for fault in check(cohort) if code != "G113" or fault.code == code]
    assert fault.code == code
    assert fault.severity == "error"
    assert f"{fault.subject}: {fault.file}".startswith(where)
    assert value in fault.value


def test_images_beside_one_that_leaves_the_folder_are_not_blamed(cohort):
    cohort.entry()["image"][1:] = ["../a.nii", "/b.nii", "C:\\c.nii"]
    assert [fault.code for fault in check(cohort)] == ["G108"] * 3


def test_every_rule_on_the_datalist_has_a_fault_in_the_table():
    by_name = {code for code in RULES if code[:2] == "G1"} | {"G601", "G602"}
    assert {code for _, code, *_ in LISTS} == by_name


def test_lists_of_entries_under_other_names_are_checked_too(cohort):
    cohort.datalist["testing"] = cohort.datalist["training"][:1]
    assert {fault.code for fault in check(cohort)} == {"G601", "G602"}


def test_one_file_listed_under_two_spellings_is_a_subject_listed_twice(cohort):
    image = cohort.entry()["image"]
    cohort.datalist["test"] = [{"image": image}, {"image": [f"./{path}" for path in image]}]
    faults = check(cohort)  # and these are the voxels that are listed with another id for training
    assert [fault.code for fault in faults] == ["G601", "G603", "G603"]


@pytest.mark.parametrize(
    ("sessions", "codes"),
    [
        (("sub-01/ses-1/t1", "sub-01/ses-2/t1"), ["G605"]),
        (("sub-01_ses-pre", "sub-01_ses-post"), ["G605"]),
        (("sub-01_ses-1", "sub-02_ses-1"), []),
        (("sub-01_t1", "sub-01_t2"), []),
    ],
)
def test_sessions_of_one_name_in_two_splits_are_a_warning_where_no_patients_are_named(
    cohort, sessions, codes
):
    first, second = cohort.datalist["training"][0], cohort.datalist["validation"][0]
    for entry, session in zip((first, second), sessions, strict=True):
        del entry["patient"]
        entry["subject"] = session
    assert [(f.code, f.severity) for f in check(cohort)] == [(code, "warning") for code in codes]
    second["patient"] = "one"
    assert check(cohort) == []


def test_entries_of_other_projects_pass(cohort):
    for entry in cohort.datalist["training"]:
        for key in ("subject", "patient", "group"):
            del entry[key]
        entry |= {"fold": 0, "image": entry["image"][0]}
    (held_out,) = cohort.datalist.pop("validation")
    cohort.datalist["test"] = [f"./{held_out['image'][0]}"]
    cohort.datalist["modality"] = {"0": "t1"}
    assert check(cohort) == []
