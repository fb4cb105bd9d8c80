import pytest

from monai_transfer.data.layout import escapes, pattern_fields, pattern_glob, pattern_regex

TOKENS = {"modality": ["T1w", "ce-gadolinium_T1w"]}


def test_the_longer_modality_wins_where_a_shorter_one_is_its_ending() -> None:
    regex = pattern_regex("{subject}_{modality}.nii", TOKENS)
    found = regex.fullmatch("sub-1_ce-gadolinium_T1w.nii")
    assert found is not None
    assert found.groupdict() == {"subject": "sub-1", "modality": "ce-gadolinium_T1w"}


@pytest.mark.parametrize(
    "path",
    [
        "sub-1/sub-2_T1w.nii",  # a repeated field must repeat its text
        "sub-1/sub-1_FLAIR.nii",  # not a declared modality
        "a/sub-1/sub-1_T1w.nii",  # a field holds no slash
        ".sub-1/.sub-1_T1w.nii",  # hidden
        "sub-1/sub-1_T1wXnii",  # the point is a point
    ],
)
def test_paths_that_do_not_fit_are_passed_over(path: str) -> None:
    assert pattern_regex("{subject}/{subject}_{modality}.nii", TOKENS).fullmatch(path) is None


@pytest.mark.parametrize("pattern", ["{subject", "{}", "{subject:>3}", "{subject!r}", "{a.b}"])
def test_braces_that_are_not_plain_fields_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"field name|expected '}'|'}' before end"):
        pattern_fields(pattern)


def test_special_characters_of_globs_stand_for_themselves() -> None:
    assert pattern_glob("a[1]/{subject}?.nii") == "a[[]1]/*[?].nii"


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("a/b.nii.gz", False),
        ("./imagesTr/a.nii.gz", False),
        ("a..b/c.nii", False),
        ("../a.nii", True),
        ("a/../../b.nii", True),
        ("/data/a.nii", True),
        ("C:\\data\\a.nii", True),
        ("a\\..\\..\\b.nii", True),
    ],
)
def test_a_path_that_could_leave_its_folder_is_told_on_every_system(
    path: str, *, outside: bool
) -> None:
    assert escapes(path) is outside


def test_a_star_is_any_text_of_one_name_and_never_a_hidden_file():
    regex = pattern_regex("{subject}/scan.*/*_{subject}.nii", {})
    found = regex.fullmatch("A/scan.54512/x.y_A.nii")
    assert found is not None
    assert found["subject"] == "A"
    assert regex.fullmatch("A/scan./_A.nii")
    for path in ("A/scan.1/2/x_A.nii", "A/scan.1/._A.nii", ".A/scan.1/x_.A.nii", "A/scan/x_A.nii"):
        assert regex.fullmatch(path) is None, path
