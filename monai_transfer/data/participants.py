"""The table of participants that a BIDS data set keeps at its root."""

import csv
import os
from pathlib import Path

from monai_transfer.data.faults import all_at_once
from monai_transfer.errors import InputError, choice

KEY = "participant_id"
MISSING = "n/a"
"""How BIDS writes a value that is not known."""


def read_participants(path: str | os.PathLike[str], column: str) -> dict[str, str]:
    r"""Participant → text of one column; those for whom it is ``n/a`` or empty are left out.

    Args:
        path: a tab-separated table, UTF-8, with a line of headings.
        column: its heading.

    Raises:
        InputError: no such file or column, a line with another number of fields, a participant
            listed twice.

    Source:
        The Brain Imaging Data Structure, "Participants file" and "Tabular files",
        bids-specification.readthedocs.io.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp(), "participants.tsv")
        >>> _ = table.write_text("participant_id\tgrade\nsub-01\tHGG\nsub-02\tn/a\n")
        >>> read_participants(table, "grade")
        {'sub-01': 'HGG'}
    """
    path = Path(path)
    if not path.is_file():
        todo = "BIDS keeps it at the root of the data set."
        raise InputError(path.name, "table of participants", "exist", got="no file", todo=todo)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            headings, *lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        rule = "be a tab-separated table in UTF-8 with a line of headings"
        raise InputError(path.name, "table", rule, got=type(error).__name__) from error
    for name in (KEY, column):
        if name not in headings:
            raise choice(path.name, "column", name, headings)
    lines = [line for line in lines if line]
    _require_sound(path.name, headings, lines)
    rows = [dict(zip(headings, line, strict=True)) for line in lines]
    return {row[KEY]: row[column] for row in rows if row[column].strip() not in ("", MISSING)}


def _require_sound(where: str, headings: list[str], lines: list[list[str]]) -> None:
    at = headings.index(KEY)
    faults = [
        f"line {number}: must have {len(headings)} fields, got {len(line)}"
        for number, line in enumerate(lines, start=2)
        if len(line) != len(headings)
    ]
    listed = [line[at] for line in lines if len(line) > at]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    faults += [f"{name}: must be listed once, got {listed.count(name)} lines" for name in twice]
    if faults:
        raise all_at_once(where, "table", faults)
