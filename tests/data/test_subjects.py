import dataclasses
import shutil

import pytest

from monai_transfer.data import find_subjects, manifest_path, read_manifest
from monai_transfer.errors import InputError


def test_subjects_have_their_images_in_named_order_with_group_and_patient(cohort, brats):
    first, second, third = find_subjects(brats, cohort.root)
    assert first.images == tuple(
        f"HGG/Brats18_A_1/Brats18_A_1_{token}.nii.gz" for token in ("t1", "t1ce", "t2", "flair")
    )
    assert first.label == "HGG/Brats18_A_1/Brats18_A_1_seg.nii.gz"
    assert [(s.subject, s.patient, s.group) for s in (first, second, third)] == [
        ("Brats18_A_1", "Brats18_A", "HGG"),
        ("Brats18_B_1", "Brats18_B", "HGG"),
        ("Brats18_C_1", "Brats18_C", "LGG"),
    ]


def test_files_that_do_not_fit_the_layout_are_passed_over(cohort, brats):
    (cohort.root / "survival_data.csv").write_text("Age")
    (cohort.file().parent / "._Brats18_A_1_t1.nii.gz").write_bytes(b"resource fork")
    (cohort.root / "HGG" / "Brats18_D_1").mkdir()
    shutil.copytree(cohort.root / "HGG", cohort.root / "unlabelled")
    assert len(find_subjects(brats, cohort.root)) == 3


def test_linked_folders_are_followed(cohort, brats, tmp_path):
    (tmp_path / "linked").mkdir()
    for group in ("HGG", "LGG"):
        (tmp_path / "linked" / group).symlink_to(cohort.root / group)
    assert find_subjects(brats, tmp_path / "linked") == find_subjects(brats, cohort.root)


def test_every_missing_file_is_a_line_of_one_error(cohort, brats):
    cohort.file("t1ce").unlink()
    cohort.file("seg").unlink()
    cohort.file("flair", "Brats18_C_1").unlink()
    with pytest.raises(InputError) as error:
        find_subjects(brats, cohort.root)
    first, *lines = map(str.strip, str(error.value).splitlines())
    assert first == "simulated_brats: subjects must be free of faults, got 3. All of them:"
    assert lines == [
        "Brats18_A_1: t1c is missing, no file HGG/Brats18_A_1/Brats18_A_1_t1ce.nii.gz",
        "Brats18_A_1: label is missing, no file HGG/Brats18_A_1/Brats18_A_1_seg.nii.gz",
        "Brats18_C_1: flair is missing, no file LGG/Brats18_C_1/Brats18_C_1_flair.nii.gz",
    ]


def test_a_subject_in_two_groups_is_refused(cohort, brats):
    shutil.copytree(cohort.file().parent, cohort.root / "LGG" / "Brats18_A_1")
    with pytest.raises(InputError, match="Brats18_A_1: must be in one group, got HGG, LGG"):
        find_subjects(brats, cohort.root)


def test_an_id_without_a_patient_is_a_line_of_the_error_too(cohort, brats):
    cohort.file("t1ce").unlink()
    other = dataclasses.replace(brats, patient="(Brats18_[AB])_1")
    with pytest.raises(InputError) as error:
        find_subjects(other, cohort.root)
    assert "Brats18_A_1: t1c is missing" in str(error.value)
    assert "Brats18_C_1: id must match (Brats18_[AB])_1, the patient rule" in str(error.value)


def test_a_wrong_folder_is_answered_with_layout_and_source(cohort, brats, tmp_path):
    with pytest.raises(InputError, match="data folder must exist"):
        find_subjects(brats, tmp_path / "none")
    with pytest.raises(InputError, match=r"\{subject\}_\{modality\}.*got none in .*How to obtain"):
        find_subjects(brats, cohort.root / "HGG")


def test_one_modality_needs_no_field_and_no_label_is_no_fault(cohort, brats):
    flair = dataclasses.replace(
        brats,
        layout="{group}/{subject}/{subject}_flair.nii.gz",
        modalities={"flair": "flair"},
        label=None,
    )
    cohort.file("seg").unlink()
    subject = find_subjects(flair, cohort.root)[0]
    assert subject.images == ("HGG/Brats18_A_1/Brats18_A_1_flair.nii.gz",)
    assert subject.label is None


@pytest.mark.parametrize(
    ("name", "folder", "subjects"),
    [
        ("simulated_ms", "openms-cs", ["sub-cs07", "sub-cs19"]),
        ("bids_glioma", "tcga-lgg", ["sub-DU7294"]),
    ],
)
def test_real_scans_are_found_and_folders_without_images_are_no_subjects(
    real, name, folder, subjects
):
    found = find_subjects(read_manifest(manifest_path(name)), real / folder)
    assert [subject.subject for subject in found] == subjects
    files = [file for subject in found for file in (*subject.images, subject.label)]
    assert len(files) == 5 * len(subjects)
    assert all((real / folder / file).is_file() for file in files)


def test_the_open_ms_set_is_read_as_its_repository_lays_it_out(tmp_path):
    names = [
        *(f"{m}_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz" for m in
          ("FLAIR", "T1", "T1POST", "T2")),
        "GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz",
    ]  # fmt: skip
    for patient in ("patient07", "patient19"):
        (tmp_path / patient).mkdir()
        for name in names:
            (tmp_path / patient / name).touch()
    found = find_subjects(read_manifest(manifest_path("openms2017")), tmp_path)
    assert [subject.patient for subject in found] == ["patient07", "patient19"]
    assert [image.split("/")[1].split("_")[0] for image in found[0].images] == [
        "T1",
        "T1POST",
        "T2",
        "FLAIR",
    ]
