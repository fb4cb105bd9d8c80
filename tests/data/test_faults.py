import re
from pathlib import Path

import pytest

from monai_transfer.data import RULES
from monai_transfer.data.faults import fault

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "reference" / "fault-codes.md"


def test_the_page_of_the_codes_says_what_the_gate_says():
    rows = re.findall(
        r"^\| (G\d{3}) \| (\w+) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert rows == [(code, r.severity, r.rule, r.todo) for code, r in sorted(RULES.items())]


def test_codes_that_were_once_given_out_mean_what_they_meant():
    assert {code for code, rule in RULES.items() if rule.severity == "error"} >= {
        *(f"G1{n:02}" for n in range(1, 14)),
        *(f"G2{n:02}" for n in range(1, 7)),
        *("G301", "G302", "G303", "G304", "G305", "G308", "G309", "G311", "G312"),
        *("G401", "G402", "G403", "G501", "G502", "G601", "G602", "G603"),
    }
    warnings = {code for code, rule in RULES.items() if rule.severity == "warning"}
    assert warnings >= {"G207", "G306", "G307", "G310", "G404", "G503", "G504"}
    assert warnings >= {"G604", "G605", "G606", "G607", "G701"}


@pytest.mark.parametrize("code", RULES)
def test_every_rule_reads_as_a_sentence_with_what_to_do(code):
    line = str(fault(code, subject="sub-01", file="t1.nii", value="nothing"))
    severity = RULES[code].severity
    assert line.startswith(f"{code} {severity}: sub-01: t1.nii must ")
    assert ", got nothing. " in line
    assert line.endswith((".", "…}."))


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_broken_somewhere_in_the_tests(code):
    tests = [path for path in HERE.parent.glob("test_*.py") if path != HERE]
    assert any(f'"{code}"' in path.read_text() for path in tests)
