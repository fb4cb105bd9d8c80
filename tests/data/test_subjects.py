import dataclasses
import shutil

import pytest

from monai_transfer.data import (
    build_datalist,
    empty_splits,
    find_subjects,
    find_usable,
    manifest_path,
    read_manifest,
)
from monai_transfer.data.manifest import Participants, Split
from monai_transfer.data.splits import SPLITS
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


def test_of_modalities_that_nobody_needs_those_are_kept_that_every_subject_has(cohort, brats):
    cohort.file("t1ce").unlink()
    usable, subjects = find_usable(brats, cohort.root, needed=["flair"])
    assert list(usable.modalities) == ["t1", "t2", "flair"]
    assert subjects[0].images == tuple(
        f"HGG/Brats18_A_1/Brats18_A_1_{token}.nii.gz" for token in ("t1", "t2", "flair")
    )
    with pytest.raises(InputError, match="Brats18_A_1: t1c is missing"):
        find_usable(brats, cohort.root, needed=["T1C", "flair"])


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
    with pytest.raises(InputError, match="data folder must exist") as gone:
        find_subjects(brats, tmp_path / "none")
    told = r"\{subject\}_\{modality\}.*got none in .*Is it the right folder\? How to obtain"
    with pytest.raises(InputError, match=told) as empty:
        find_subjects(brats, cohort.root / "HGG")
    for error in (gone, empty):  # a verb spells the option otherwise than a bundle
        assert "--dataset" not in str(error.value)


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
        ("bids_ms", "openms-cs", ["sub-cs07", "sub-cs19"]),
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


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def brats_2015(subject, serial=54512, label="VSD.Brain_3more.XX.O.OT"):
    """Files of one subject, as the challenge unpacks: a folder for each, and a serial number."""
    tokens = ("MR_T1", "MR_T1c", "MR_T2", "MR_Flair")
    names = [f"VSD.Brain.XX.O.{token}.{serial + i}" for i, token in enumerate(tokens)]
    return [f"{subject}/{name}/{name}.mha" for name in (*names, f"{label}.{serial + 9}")]


def test_brats_2015_has_a_folder_for_each_modality_and_numbers_that_no_rule_predicts(tmp_path):
    touch(tmp_path, *brats_2015("HGG/brats_2013_pat0001_1", label="VSD.Brain_3more.XX.XX.OT"))
    touch(tmp_path, *brats_2015("LGG/brats_tcia_pat101_0001"), "LGG/._brats/VSD.Brain.mha")
    touch(tmp_path, *brats_2015("LGG/brats_tcia_pat101_0002", 9, "VSD.Brain.XX.O.OT"))
    first, *others = find_subjects(read_manifest(manifest_path("brats2015")), tmp_path)
    folder = "HGG/brats_2013_pat0001_1"
    assert first.images == tuple(
        f"{folder}/VSD.Brain.XX.O.{name}/VSD.Brain.XX.O.{name}.mha"
        for name in ("MR_T1.54512", "MR_T1c.54513", "MR_T2.54514", "MR_Flair.54515")
    )
    assert first.label == f"{folder}/{'/'.join(['VSD.Brain_3more.XX.XX.OT.54521'] * 2)}.mha"
    assert (first.group, {other.group for other in others}) == ("HGG", {"LGG"})
    assert [other.patient for other in others] == ["brats_tcia_pat101"] * 2  # two visits


def test_two_files_where_one_belongs_are_named_and_not_chosen_from(tmp_path):
    touch(tmp_path, *brats_2015("HGG/brats_tcia_pat101_0001", 11))
    touch(tmp_path, *brats_2015("HGG/brats_tcia_pat101_0001", 21)[:1])
    with pytest.raises(InputError) as error:
        find_subjects(read_manifest(manifest_path("brats2015")), tmp_path)
    (line,) = str(error.value).splitlines()[1:]
    assert "brats_tcia_pat101_0001: t1 must be one file, got HGG/" in line
    assert line.count(".mha") == 2


@pytest.fixture
def sessions():
    return read_manifest(manifest_path("bids_glioma_sessions"))


@pytest.fixture
def bids(tmp_path, sessions):
    """Two visits of one participant and one of another; a third was never prepared."""
    for subject, session in (("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", "ses-1")):
        fields = {"subject": subject, "session": session}
        touch(tmp_path, *(sessions.layout.format(**fields, modality=token)
                          for token in sessions.modalities.values()))  # fmt: skip
        touch(tmp_path, sessions.label.format(**fields), f"{subject}/{session}/anat/raw_T1w.nii.gz")
    table = "participant_id\tage\tgrade\nsub-01\t61\tLGG\nsub-02\t70\tHGG\nsub-03\t5\tn/a\n"
    (tmp_path / "participants.tsv").write_text(table)
    return tmp_path


def test_every_session_is_a_subject_of_its_participant_whose_group_the_table_tells(bids, sessions):
    found = find_subjects(sessions, bids)
    assert [(s.subject, s.patient, s.group) for s in found] == [
        ("sub-01_ses-1", "sub-01", "LGG"),
        ("sub-01_ses-2", "sub-01", "LGG"),
        ("sub-02_ses-1", "sub-02", "HGG"),
    ]
    second = found[1]
    assert second.images[1] == (
        "derivatives/prepared/sub-01/ses-2/anat/"
        "sub-01_ses-2_ce-gadolinium_space-SRI_desc-brain_T1w.nii.gz"
    )
    assert second.label == (
        "derivatives/tumour/sub-01/ses-2/anat/sub-01_ses-2_space-SRI_desc-tumour_dseg.nii.gz"
    )


def test_visits_of_one_participant_never_part(bids, sessions):
    datalist = build_datalist(sessions, bids, validation=1, test=0)
    parts = {part: {e["patient"] for e in datalist[part]} for part in ("training", "validation")}
    assert sorted(map(len, parts.values())) == [1, 1]
    assert not parts["training"] & parts["validation"]


def test_a_session_without_its_label_and_a_group_that_is_not_told_are_lines(bids, sessions):
    next(bids.glob("derivatives/tumour/sub-01/ses-2/anat/*.nii.gz")).unlink()
    (bids / "participants.tsv").write_text("participant_id\tgrade\nsub-01\tIV\nsub-02\tn/a\n")
    with pytest.raises(InputError) as error:
        find_subjects(sessions, bids)
    lines = [line.strip() for line in str(error.value).splitlines()[1:]]
    rule = "group must be one of HGG, LGG in the participants, got"
    assert [line for line in lines if "group" in line] == [
        f"sub-01_ses-1: {rule} IV",
        f"sub-01_ses-2: {rule} IV",
        f"sub-02_ses-1: {rule} none",
    ]
    assert "sub-01_ses-2: label is missing, no file derivatives/tumour/sub-01/ses-2/" in lines[1]


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


@pytest.fixture
def told(sessions):
    split = Split("participants", None, None, (), "ours", Participants("participants.tsv", "set"))
    return dataclasses.replace(sessions, groups=(), participants=None, split=split)


def write_sets(folder, *lines):
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tset", *lines]) + "\n")


def test_sets_are_those_that_the_table_tells_for_every_session(bids, told):
    write_sets(bids, "sub-01\ttest", "sub-02\ttraining", "sub-03\tvalidation")
    datalist = build_datalist(told, bids, seed=5)
    assert {part: [e["subject"] for e in datalist[part]] for part in SPLITS} == {
        "training": ["sub-02_ses-1"],
        "validation": [],
        "test": ["sub-01_ses-1", "sub-01_ses-2"],
    }
    made = {"recipe": "participants", "file": "participants.tsv", "column": "set"}
    assert datalist["split"] == made
    told = "the column set of participants.tsv puts nobody there."
    assert empty_splits(datalist) == [f"validation: {told}"]


def test_a_set_that_is_unknown_or_not_told_is_a_line_that_names_the_subject(bids, told):
    write_sets(bids, "sub-01\ttrain")
    with pytest.raises(InputError) as error:
        find_subjects(told, bids)
    rule = "set must be one of training, validation, test in the table, got"
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        f"sub-01_ses-1: {rule} train",
        f"sub-01_ses-2: {rule} train",
        f"sub-02_ses-1: {rule} none",
    ]


def test_a_patient_in_two_sets_is_refused(bids, told):
    write_sets(bids, "sub-01\ttest", "sub-02\ttraining")
    one = dataclasses.replace(told, patient="(sub)-0[0-9]")
    with pytest.raises(InputError, match="sub: patient must be in one set, got test, training"):
        find_subjects(one, bids)


def test_without_the_table_or_with_numbers_beside_it_nothing_is_split(bids, told):
    (bids / "participants.tsv").unlink()
    with pytest.raises(InputError, match=r"participants.tsv: table of participants must exist"):
        build_datalist(told, bids)
    write_sets(bids, "sub-01\ttest", "sub-02\ttraining")
    with pytest.raises(InputError, match="validation must be left out: the column set of partic"):
        build_datalist(told, bids, validation=1)


def test_the_wmh_challenge_is_read_as_its_archive_lays_it_out(tmp_path):
    for site, subject in (("Utrecht", "0"), ("Singapore", "50"), ("GE3T", "100")):
        for name in ("pre/T1", "pre/3DT1", "pre/FLAIR", "orig/FLAIR", "wmh"):
            touch(tmp_path, f"{site}/{subject}/{name}.nii.gz")
    found = find_subjects(read_manifest(manifest_path("wmh_challenge")), tmp_path)
    first = found[0]
    assert (first.subject, first.group, first.images, first.label) == (
        "0",
        "Utrecht",
        ("Utrecht/0/pre/T1.nii.gz", "Utrecht/0/pre/FLAIR.nii.gz"),
        "Utrecht/0/wmh.nii.gz",
    )
    assert [s.group for s in found] == ["Utrecht", "GE3T", "Singapore"]


@pytest.mark.parametrize(
    ("name", "files", "subjects"),
    [
        (
            "atlas_r1_2",
            [
                f"c0001s000{n}t01/c0001s000{n}t01_{what}_stx.nii.gz"
                for n in (4, 5)
                for what in ("t1w", "LesionSmooth", "LesionSmooth_1")
            ],
            ["c0001s0004t01", "c0001s0005t01"],
        ),
        (
            "oasis_miccai2012",
            ["images/1000_3.nii.gz", "regions/1000_3_regions.nii.gz"],
            ["1000_3"],
        ),
        (
            "bids_t1_structures",
            [
                "sub-1/anat/sub-1_T1w.nii.gz",
                "derivatives/fsl/sub-1/anat/sub-1_desc-tissue_dseg.nii.gz",
                "derivatives/fsl/sub-1/anat/sub-1_desc-structures_dseg.nii.gz",
            ],
            ["sub-1"],
        ),
    ],
)
def test_sets_of_t1_alone_are_found_in_their_layouts(tmp_path, name, files, subjects):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    rows = "".join(f"{subject}\ttest\n" for subject in subjects)
    (tmp_path / "participants.tsv").write_text(f"participant_id\tsplit\n{rows}")
    found = find_subjects(read_manifest(manifest_path(name)), tmp_path)
    assert [subject.subject for subject in found] == subjects
    assert all(len(subject.images) == 1 and subject.label for subject in found)
