import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from monai_transfer.training import is_program
from monai_transfer.training.commands import own_command, with_options

FILES = "['bundles/brats_ft/train.json','bundles/brats_ft/paper.json']"


@pytest.mark.parametrize(
    "given",
    [
        ["--output_dir", "a", "--resume", "False"],
        ["--output-dir=a", "--resume"],
        ["-output_dir=a"],
        [],
    ],
)
def test_an_option_is_replaced_however_it_was_spelt(given: list[str]):
    arguments = ["run", *given, "--cases", "$None", "--seed", "-1"]
    new = with_options(arguments, {"output_dir": "b c", "resume": "True"})
    kept = ["run", "--cases", "$None", "--seed", "-1"]
    assert new == [*kept, "--output_dir", "b c", "--resume", "True"]


def test_a_program_s_own_command_is_whole_and_quoted_for_a_shell(monkeypatch: pytest.MonkeyPatch):
    main = SimpleNamespace(__spec__=SimpleNamespace(name="monai.bundle.__main__"))
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(
        sys, "argv", ["monai/bundle/__main__.py", "run", "--config_file", FILES, "--cases", "$None"]
    )
    assert is_program()
    command = own_command(Path("runs/my first"), resume=True)
    assert shlex.split(command) == [
        *("python", "-m", "monai.bundle", "run"),
        *("--config_file", FILES.replace("'", '"'), "--cases", "$None"),
        *("--output_dir", "runs/my first", "--resume", "True"),
    ]
    assert "--resume" not in own_command(Path("runs/first"), resume=False)


def test_a_run_that_no_command_line_began_says_what_to_add():
    assert not is_program()
    expected = "the same command with --output_dir 'a b' --resume True"
    assert own_command(Path("a b"), resume=True) == expected
