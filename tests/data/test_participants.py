from pathlib import Path

import pytest

from monai_transfer.data.participants import read_participants
from monai_transfer.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "participants.tsv"


def test_a_column_is_read_whatever_its_place_and_its_gaps_are_left_out(table: Path):
    text = "\ufeffage\tgrade\tparticipant_id\r\n61\tHGG\tsub-01\r\n\r\n7\tn/a\tsub-02\r\n8\t\tsub-3"
    table.write_text(text, encoding="utf-8")
    assert read_participants(table, "grade") == {"sub-01": "HGG"}
    assert read_participants(table, "age") == {"sub-01": "61", "sub-02": "7", "sub-3": "8"}


def test_quotes_are_text_as_bids_says(table: Path):
    table.write_text('participant_id\tnote\nsub-01\t"a\nsub-02\tb"\n')
    assert read_participants(table, "note") == {"sub-01": '"a', "sub-02": 'b"'}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "participants.tsv: table of participants must exist, got no file. BIDS keeps it"),
        (b"", "table must be a tab-separated table in UTF-8 with a line of headings"),
        (b"\xff\xfep\x00", "table must be a tab-separated table in UTF-8"),
        (b"participant_id,grade\nsub-01,HGG\n", "column must be one of participant_id,grade"),
        (b"participant_id\tgarde\n", "got grade. Did you mean garde?"),
        (b"participant_id\tgrade\nsub-01\n", "line 2: must have 2 fields, got 1"),
        (b"participant_id\tgrade\na\tHGG\na\tLGG\n", "a: must be listed once, got 2 lines"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(table: Path, content: bytes, message: str):
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_participants(table, "grade")
    assert message in str(error.value)
