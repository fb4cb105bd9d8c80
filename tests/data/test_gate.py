import numpy as np
import pytest

from monai_transfer.data import (
    build_datalist,
    check_datalist,
    manifest_path,
    read_manifest,
    require_clean,
)
from monai_transfer.errors import InputError

A = "HGG/Brats18_A_1/Brats18_A_1"


def check(cohort, **options):
    return check_datalist(cohort.datalist, cohort.root, **options)


def test_a_healthy_cohort_passes(cohort):
    assert check(cohort) == []
    require_clean(cohort.datalist, cohort.root)


def test_all_faults_come_in_one_pass_in_an_order_that_workers_do_not_change(cohort):
    del cohort.datalist["validation"][0]["label"]
    cohort.write("t1", np.full((7, 9, 7), np.nan, np.float32))
    cohort.write("seg", np.full((8, 9, 7), 3, np.uint8))
    cohort.file("flair", "Brats18_C_1").unlink()
    faults = check(cohort, workers=1)
    assert sorted(fault.code for fault in faults) == sorted(
        ["G106", "G401", "G502", "G303", "G303", "G303", "G303", "G201"]
    )
    assert all(check(cohort, workers=workers) == faults for workers in (2, 5))


def test_progress_counts_subjects(cohort):
    seen = []
    check(cohort, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_error_lists_every_fault_on_a_line_with_what_to_do(cohort):
    cohort.file().unlink()
    cohort.write("seg", np.full((8, 9, 7), 3, np.uint8))
    with pytest.raises(InputError) as error:
        require_clean(cohort.datalist, cohort.root, where="dataset.json")
    assert str(error.value).splitlines() == [
        "dataset.json: data must be free of faults, got 2. All of them:",
        (
            f"  G201 error: Brats18_A_1: {A}_t1.nii.gz must exist, got no file. "
            "Restore it, or take the subject out."
        ),
        (
            f"  G502 error: Brats18_A_1: {A}_seg.nii.gz must hold declared labels only, got 3 in "
            "504 voxels (declared: 0, 1, 2, 4). Map the value, or declare it under labels."
        ),
    ]


@pytest.mark.parametrize("letter", ["\n", "\0", "\x1b[31m", "\ud800"])
def test_a_fault_is_one_line_that_can_be_printed_whatever_the_names_hold(cohort, letter):
    cohort.entry()["label"] = f"HGG/a{letter}b.nii.gz"
    (fault,) = check(cohort)
    assert fault.code in {"G201", "G202"}
    assert "HGG/a\N{REPLACEMENT CHARACTER}" in str(fault)
    assert str(fault).isprintable()


def test_a_folder_that_is_not_there_is_said_once(cohort):
    with pytest.raises(InputError, match=r"data folder must exist, got no/such/folder\.$"):
        check_datalist(cohort.datalist, "no/such/folder")


@pytest.mark.parametrize(
    ("name", "folder"), [("bids_ms", "openms-cs"), ("bids_glioma", "tcga-lgg")]
)
def test_real_scans_pass_and_one_with_another_label_does_not(real, name, folder):
    manifest = read_manifest(manifest_path(name))
    datalist = build_datalist(manifest, real / folder, validation=0, test=1.0)
    assert [str(fault) for fault in check_datalist(datalist, real / folder)] == []
    datalist["labels"].pop("1")
    faults = check_datalist(datalist, real / folder)
    assert {fault.code for fault in faults} == {"G502"}
    assert len(faults) == len(datalist["test"])
