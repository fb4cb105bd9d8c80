import dataclasses
import shutil

import pytest
from monai.data import load_decathlon_datalist, load_decathlon_properties

from monai_transfer.data import (
    build_datalist,
    check_datalist,
    empty_splits,
    manifest_path,
    read_datalist,
    read_manifest,
    write_datalist,
)
from monai_transfer.data.manifest import Counts, Split
from monai_transfer.data.splits import SPLITS
from monai_transfer.errors import InputError


def subjects(entries):
    return [entry["subject"] for entry in entries]


@pytest.fixture
def brats2018(tmp_path):
    """A folder with as many subjects as BraTS 2018, of empty files."""
    for group, number in (("HGG", 210), ("LGG", 75)):
        for i in range(number):
            subject = f"Brats18_{group}{i:03d}_1"
            folder = tmp_path / group / subject
            folder.mkdir(parents=True)
            for token in ("t1", "t1ce", "t2", "flair", "seg"):
                (folder / f"{subject}_{token}.nii.gz").touch()
    return tmp_path


def test_brats_2018_is_split_as_the_paper_did(brats2018):
    manifest = read_manifest(manifest_path("brats2018"))
    datalist = build_datalist(manifest, brats2018)
    sizes = [datalist[f"num{part}"] for part in ("Training", "Validation", "Test")]
    assert sizes == [len(datalist[part]) for part in ("training", "validation", "test")]
    assert sizes == [169, 50, 66]
    # 75 of 285 are LGG: 44.5, 13.2 and 17.4
    assert [
        sum(entry["group"] == "LGG" for entry in datalist[part])
        for part in ("training", "validation", "test")
    ] == [45, 13, 17]
    assert build_datalist(manifest, brats2018) == datalist
    assert build_datalist(manifest, brats2018, seed=1)["test"] != datalist["test"]


def test_other_counts_than_the_papers_are_one_error(brats2018):
    manifest = read_manifest(manifest_path("brats2018"))
    for i in range(80):
        shutil.rmtree(brats2018 / "HGG" / f"Brats18_HGG{i:03d}_1")
    with pytest.raises(InputError) as error:
        build_datalist(manifest, brats2018)
    assert str(error.value).splitlines()[1:] == [
        "  subjects: must be 285 as in the paper, got 205",
        "  HGG: must be 210 as in the paper, got 130",
    ]
    # without the counts neither is the pool that the largest experiment needs asked for
    assert build_datalist(manifest, brats2018, check_counts=False)["numTraining"] == 89


def test_a_training_pool_too_small_for_the_papers_cases_is_refused(brats2018):
    manifest = read_manifest(manifest_path("brats2018"))
    with pytest.raises(InputError, match="training must hold 150 cases or more, got 149"):
        build_datalist(manifest, brats2018, test=86)
    assert build_datalist(manifest, brats2018, test=85)["numTraining"] == 150


def test_a_datalist_names_channels_labels_and_files_and_not_the_folder(cohort, brats):
    datalist = build_datalist(brats, cohort.root, seed=7, validation=0, test=1)
    assert datalist["modality"] == {"0": "t1", "1": "t1c", "2": "t2", "3": "flair"}
    assert list(datalist["labels"]) == ["0", "1", "2", "4"]
    assert datalist["reference"] == brats.citation
    assert datalist["split"] == {"recipe": "stratified", "validation": 0, "test": 1, "seed": 7}
    assert str(cohort.root) not in str(datalist)
    entries = [*datalist["training"], *datalist["test"]]
    entry = next(entry for entry in entries if entry["subject"] == "Brats18_B_1")
    assert entry == {
        "image": [
            f"HGG/Brats18_B_1/Brats18_B_1_{token}.nii.gz" for token in ("t1", "t1ce", "t2", "flair")
        ],
        "label": "HGG/Brats18_B_1/Brats18_B_1_seg.nii.gz",
        "subject": "Brats18_B_1",
        "patient": "Brats18_B",
        "group": "HGG",
    }


def test_all_scans_of_a_patient_are_in_one_part(cohort, brats, tmp_path):
    for subject in ("Brats18_A", "Brats18_B"):
        for visit in "2345":
            for file in cohort.file("t1", f"{subject}_1").parent.iterdir():
                name = file.name.replace(f"{subject}_1", f"{subject}_{visit}")
                target = cohort.root / "HGG" / f"{subject}_{visit}" / name
                target.parent.mkdir(exist_ok=True)
                shutil.copy(file, target)
    for seed in range(10):
        datalist = build_datalist(brats, cohort.root, seed=seed, validation=1, test=1)
        parts = [{entry["patient"] for entry in datalist[part]} for part in
                 ("training", "validation", "test")]  # fmt: skip
        assert [len(part) for part in parts] == [1, 1, 1]
        assert len(set.union(*parts)) == 3
        assert len([e for part in ("training", "validation", "test") for e in datalist[part]]) == 11


def test_a_patient_with_scans_in_two_groups_stays_in_one_part(cohort, brats):
    folder = cohort.root / "LGG" / "Brats18_A_2"
    folder.mkdir()
    for file in cohort.file().parent.iterdir():
        shutil.copy(file, folder / file.name.replace("Brats18_A_1", "Brats18_A_2"))
    for seed in range(10):
        datalist = build_datalist(brats, cohort.root, seed=seed, validation=1, test=0)
        parts = [set(subjects(datalist[part])) for part in ("training", "validation")]
        assert any({"Brats18_A_1", "Brats18_A_2"} <= part for part in parts)


def test_without_groups_and_labels_entries_do_not_name_them(cohort, brats):
    manifest = dataclasses.replace(
        brats,
        layout="{subject}/{subject}_{modality}.nii.gz",
        label=None,
        groups=(),
        counts=Counts(subjects=2),
        split=Split("stratified", 0, 1.0, (), "a set to test on"),
    )
    datalist = build_datalist(manifest, cohort.root / "HGG")
    assert datalist["training"] == []
    assert [set(entry) for entry in datalist["test"]] == [{"image", "subject", "patient"}] * 2
    assert not check_datalist(datalist, cohort.root / "HGG")


def test_monai_reads_what_was_written(cohort, tmp_path):
    path = tmp_path / "dataset.json"
    write_datalist(cohort.datalist, path)
    assert read_datalist(path) == cohort.datalist
    items = load_decathlon_datalist(path, data_list_key="training", base_dir=cohort.root)
    assert subjects(items) == subjects(cohort.datalist["training"])
    assert [str(image) for image in items[0]["image"]] == [
        str(cohort.root / image) for image in cohort.datalist["training"][0]["image"]
    ]
    properties = load_decathlon_properties(path, ["modality", "labels", "numTraining"])
    assert properties["numTraining"] == 2


def test_a_datalist_with_a_repeated_key_is_refused(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text('{"training": [], "training": [{"image": "a.nii"}]}')
    with pytest.raises(InputError, match=r"dataset\.json: key 'training' must appear once"):
        read_datalist(path)


DRAWN = {"recipe": "stratified", "seed": 0}
TOLD = {"recipe": "participants", "file": "participants.tsv", "column": "set"}


@pytest.mark.parametrize(
    ("sizes", "plan", "lines"),
    [
        ((2, 0, 0), DRAWN | {"validation": 0, "test": 0}, []),
        ((0, 0, 2), DRAWN | {"validation": 0, "test": 1.0}, []),
        ((0, 1, 4), DRAWN | {"validation": 0.2, "test": 0.8}, []),
        ((0, 0, 2), TOLD | {"validation": 0, "test": 1.0}, []),  # scans without labels
        ((1, 0, 0), DRAWN | {"validation": 0, "test": 0.2}, ["test: a share of 0.2 of 1 patients"]),
        ((0, 1, 1), DRAWN | {"validation": 1, "test": 1}, ["training: nobody of 2 patients is"]),
        ((4, 0, 1), DRAWN | {"validation": 1, "test": 0.2}, ["validation: nobody is there; 1 was"]),
        ((4, 1, 0), DRAWN | {"validation": 1, "test": 0.2}, ["test: nobody is there; 0.2 was"]),
        ((0, 1, 1), TOLD, ["training: the column set of participants.tsv puts nobody there."]),
    ],
)
def test_a_split_is_told_that_is_empty_and_was_not_asked_to_be(
    sizes: tuple[int, int, int], plan: dict[str, object], lines: list[str]
):
    listed = {
        split: [{"patient": f"{split}{n}"} for n in range(size)]
        for split, size in zip(SPLITS, sizes, strict=True)
    }
    found = empty_splits({**listed, "split": plan})
    assert len(found) == len(lines)
    assert all(line.startswith(begin) for line, begin in zip(found, lines, strict=True))
