import shutil

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import RULES, check_datalist

A, B = "HGG/Brats18_A_1/Brats18_A_1", "HGG/Brats18_B_1/Brats18_B_1"
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def check(cohort):
    return check_datalist(cohort.datalist, cohort.root)


def split_of(cohort, subject):
    return next(
        s for s in ("training", "validation") if cohort.entry(subject) in cohort.datalist[s]
    )


def pair(cohort, *, one_split):
    """Two subjects that are in one split, or not."""
    names = ("Brats18_A_1", "Brats18_B_1", "Brats18_C_1")
    splits = {name: split_of(cohort, name) for name in names}
    return next(
        (first, second)
        for first in names
        for second in names
        if first < second and (splits[first] == splits[second]) == one_split
    )


def copy_image(cohort, *, one_split, token="t2"):
    first, second = pair(cohort, one_split=one_split)
    shutil.copy(cohort.file(token, first), cohort.file(token, second))


def rewrite_under_another_name(cohort):
    """The same picture as floats, zipped otherwise, with another header."""
    first, second = pair(cohort, one_split=False)
    voxels = np.asarray(nib.load(cohort.file("t2", first)).dataobj, np.float32)
    cohort.write("t2", voxels, subject=second)


def copy_label(cohort):
    first, second = pair(cohort, one_split=False)
    shutil.copy(cohort.file("seg", first), cohort.file("seg", second))


def repeat_within_a_subject(cohort):
    shutil.copy(cohort.file("t1"), cohort.file("t1ce"))


def empty_label(cohort):
    cohort.write("seg", np.zeros((8, 9, 7), np.uint8))


def declare_a_class_that_nobody_has(cohort):
    cohort.datalist["labels"]["7"] = "haemorrhage"


def write_into(field, text, subject="Brats18_A_1"):
    def rewrite(cohort):
        image = nib.load(cohort.file("t1", subject))
        image = nib.Nifti1Image(np.asarray(image.dataobj), AFFINE, image.header)
        if field == "extension":
            image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", text))
        else:
            image.header[field] = text
        nib.save(image, cohort.file("t1", subject))

    return rewrite


COHORTS = [
    (lambda c: copy_image(c, one_split=False), "G603", "error", "_t2.nii.gz", "the same in "),
    (rewrite_under_another_name, "G603", "error", "_t2.nii.gz", "the same in "),
    (lambda c: copy_image(c, one_split=True), "G604", "warning", "_t2.nii.gz", "the same in "),
    (copy_label, "G604", "warning", "_seg.nii.gz", "the same in "),
    (repeat_within_a_subject, "G606", "warning", f"{A}_t1ce.nii.gz", f"the same as {A}_t1.nii.gz"),
    (empty_label, "G503", "warning", "labels", "none in 1 of 3: Brats18_A_1"),
    (declare_a_class_that_nobody_has, "G504", "warning", "label 7", "it in none"),
    *(
        (write_into(field, text), "G701", "warning", f"header field {field}", f"1 files: {A}_t1")
        for field, text in (
            ("descrip", b"scanned 20190228"),
            ("db_name", b"DOE^JANE"),
            ("aux_file", b"/home/jdoe/a.par"),
            ("intent_name", b"28.2.2019"),
            ("extension", b"Patient: Jane Doe"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", COHORTS, ids=lambda case: case[1])
def test_a_fault_between_subjects_is_the_only_one_reported(cohort, case):
    harm, code, severity, file, value = case
    harm(cohort)
    (fault,) = check(cohort)
    assert (fault.code, fault.severity) == (code, severity)
    assert fault.file.endswith(file)
    assert value in fault.value


def test_what_a_header_field_says_is_not_repeated(cohort):
    for subject in ("Brats18_A_1", "Brats18_B_1"):
        write_into("descrip", b"JANE^DOE 20190228", subject)(cohort)
    (fault,) = check(cohort)
    assert "in 2 files" in fault.value
    assert "JANE" not in str(fault)
    assert "2019" not in str(fault)


@pytest.mark.parametrize(
    "text", [b"simulated, not a patient", b"FSL5.0", b"TE=30;Time=143512.000", b"6.0.5:9e026117"]
)
def test_what_software_writes_about_itself_gives_nobody_away(cohort, text):
    write_into("descrip", text)(cohort)
    assert check(cohort) == []


def test_masks_and_blank_images_may_be_shared(cohort):
    for subject in ("Brats18_A_1", "Brats18_B_1", "Brats18_C_1"):
        mask = (np.indices((8, 9, 7)).sum(0) % 5 > 1).astype(np.uint8)
        cohort.write("t2", mask, subject=subject)
    assert check(cohort) == []


def test_two_scans_of_one_patient_in_one_split_may_not_be_one_scan(cohort):
    copy_image(cohort, one_split=True)
    for entry in cohort.datalist["training"]:
        entry["patient"] = "one"
    assert [fault.code for fault in check(cohort)] == ["G604"]


def phantom(contrast, draw):
    """Four images of the same anatomy: a random class at each voxel, a contrast for each."""
    classes = draw.integers(0, 4, (12, 12, 12))
    noise = draw.normal(size=(4, 12, 12, 12))
    return [
        (100 * np.array(levels)[classes] * draw.uniform(0.7, 1.4) + 6 * one).astype(np.int16)
        for levels, one in zip(contrast, noise, strict=True)
    ]


CONTRAST = ((0, 1, 2, 3), (0, 1.3, 2, 3.4), (0, 4, 2, 1), (0, 0.5, 3, 1.5))


@pytest.fixture
def twelve(cohort):
    """Twelve subjects whose modalities can be told apart."""
    draw = np.random.default_rng(0)
    entries = []
    for number in range(12):
        images = [f"{number}/{token}.nii.gz" for token in ("t1", "t1ce", "t2", "flair")]
        (cohort.root / str(number)).mkdir()
        for file, voxels in zip(images, phantom(CONTRAST, draw), strict=True):
            nib.save(nib.Nifti1Image(voxels, AFFINE), cohort.root / file)
        entries.append({"image": images, "subject": f"s{number}"})
    cohort.datalist.update(training=[], validation=[], test=entries)
    cohort.datalist.update(numTraining=0, numValidation=0, numTest=12)
    return cohort


def test_two_images_the_wrong_way_round_are_a_warning_that_names_them(twelve):
    assert check(twelve) == []
    image = twelve.datalist["test"][5]["image"]
    image[0], image[2] = image[2], image[0]
    (fault,) = check(twelve)
    assert (fault.code, fault.severity, fault.subject) == ("G607", "warning", "s5")
    assert fault.value == "t1 like t2, and t2 like t1"


def test_an_unusual_subject_is_not_called_swapped(twelve):
    draw = np.random.default_rng(9)
    other = ((0, 2, 2, 1), (0, 3, 1, 2), (0, 1, 1, 4), (0, 2, 1, 3))
    files = twelve.datalist["test"][3]["image"]
    for file, voxels in zip(files, phantom(other, draw), strict=True):
        nib.save(nib.Nifti1Image(voxels, AFFINE), twelve.root / file)
    assert check(twelve) == []


def test_eleven_subjects_are_too_few_to_say_so(twelve):
    image = twelve.datalist["test"][5]["image"]
    image[0], image[2] = image[2], image[0]
    del twelve.datalist["test"][0]
    twelve.datalist["numTest"] = 11
    assert check(twelve) == []


def test_every_rule_between_subjects_has_a_fault_in_the_table():
    tested = {code for _, code, *_ in COHORTS} | {"G605", "G607"}
    by_name = {"G601", "G602"}
    assert tested == {c for c in RULES if c[:2] in ("G6", "G7")} - by_name | {"G503", "G504"}
