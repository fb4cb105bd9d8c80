"""No verb overwrites a file that is there, unless it is told to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from monai_transfer.cli import app

RESUMING = {"simulate", "preprocess"}
"""Verbs that write into a folder, and go on with what is in it."""

CALLS = {
    "bias": "no.nii.gz --output out.nii.gz --field field.nii.gz",
    "brain": "no.nii.gz --output out.nii.gz",
    "manifest build": "bids_ms --dataset-dir no --output out",
    "register": "no.nii.gz no.nii.gz --output out.nii.gz --transform t.txt "
    "--label no.nii.gz --label-output l.nii.gz",
    "restore": "no.nii.gz --prepared no --output out.nii.gz",
    "submit": "no --manifest brats2018_validation --dataset-dir no --output out.zip",
}
WRITING = {verb: [*verb.split(), *words.split()] for verb, words in CALLS.items()}
"""Verb → a call of which nothing is there to be read."""

OUTPUTS = {"--output", "--field", "--transform", "--label-output"}
EACH = [
    (verb, words[words.index(option) + 1])
    for verb, words in WRITING.items()
    for option in OUTPUTS & set(words)
]


def verbs(command: Any, *above: str) -> Iterator[tuple[str, set[str]]]:
    """Every verb with its options."""
    for name, verb in getattr(command, "commands", {}).items():
        yield from verbs(verb, *above, name)
    if not hasattr(command, "commands"):
        yield " ".join(above), {option for parameter in command.params for option in parameter.opts}


def test_every_verb_that_writes_a_file_has_the_option():
    found = dict(verbs(typer.main.get_command(app)))
    writing = {verb for verb, options in found.items() if "--output" in options} - RESUMING
    assert writing == set(WRITING)
    assert {verb for verb, options in found.items() if "--overwrite" in options} == writing


@pytest.mark.parametrize(("verb", "output"), sorted(EACH))
def test_an_output_that_is_there_is_refused_before_anything_is_read(
    verb: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path(output).write_text("mine")
    refused = CliRunner().invoke(app, WRITING[verb])
    assert refused.exit_code == 1
    told = f"error: {output}: output must not be there yet. Name another file, or add --overwrite."
    assert refused.output == f"{told}\n"
    asked = CliRunner().invoke(app, [*WRITING[verb], "--overwrite"])
    assert "must exist" in asked.output or "must be of one prepared" in asked.output
    assert Path(output).read_text() == "mine"  # nothing came of it
    assert [path.name for path in tmp_path.iterdir()] == [output]


def test_all_that_are_there_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("out.nii.gz", "t.txt"):
        Path(name).touch()
    refused = CliRunner().invoke(app, WRITING["register"])
    assert refused.output.startswith("error: out.nii.gz, t.txt: output must not be there yet.")
