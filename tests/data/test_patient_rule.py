import re
import time

import pytest

from monai_transfer.data.patient_rule import is_bounded


@pytest.mark.parametrize(
    "expression",
    [
        r"(.+)_\d+",
        r"(sub-[^_]+)_ses-.*_run-\d+",
        r"(?:site[AB]|clinic)_(\w{4})-\d",
        r"(?P<patient>[^)+]+)_\)+",  # brackets and repeats in a set, an escaped bracket
        r"([]+*]x)_a+?",
    ],
)
def test_what_tells_patients_is_taken(expression):
    assert is_bounded(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "(a+)+b",
        "(a*)*b",
        "((?:a|a)+)b",
        "(a|aa){2,}b",
        "((a+){9})b",
        "(?:(a+)(?#said))+b",
        "(?x)(a+) # said\n +b",
        "(" + "a?" * 30 + "a" * 30 + ")",
        "(" + "(?:a|a)" * 11 + ")b",
        "(.+)(.+)(.+)(.+)(.+)b",
        "[(a]+",  # no group
        "(",
        "(a{99999999999999})",
    ],
)
def test_what_could_run_for_ever_or_is_no_expression_is_refused(expression):
    assert not is_bounded(expression)


def test_what_is_taken_ends_on_the_longest_name_of_a_folder():
    started = time.process_time()
    for expression in (r"(.+)(.+)(.+)b", "(a*)" + "(?:a|a)" * 10 + "b", r"(\w+)_.+"):
        assert is_bounded(expression)
        assert re.fullmatch(expression, "a" * 255) is None
    assert time.process_time() - started < 20
