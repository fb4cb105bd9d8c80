import shlex
import sys

import pytest
from fire.parser import DefaultParseValue

from monai_transfer.studies import bundle_command, typed


@pytest.mark.parametrize("value", [3, 0.003, 1e-05, True, "all", [80, 96, 80], {"core": [1, 4]}])
def test_monai_s_command_line_reads_every_value_as_it_was_meant(value: object):
    assert DefaultParseValue(bundle_command(["train.json"], {"x": value})[-1]) == value


def test_nothing_is_written_as_monai_s_command_line_takes_it():
    assert bundle_command(["train.json"], {"cases": None})[-1] == "$None"


def test_several_configs_are_one_list_without_spaces():
    command = bundle_command(["a.json", "b.json"], {})
    assert DefaultParseValue(command[-1]) == ["a.json", "b.json"]
    assert " " not in command[-1]


def test_what_is_typed_is_what_is_run():
    options = {"cases": None, "patch_size": [8, 8, 8], "dataset_dir": "a folder/it's", "n": 2}
    command = bundle_command(["a.json", "b.json"], options)
    assert shlex.split(typed(command))[:4] == ["python", *command[1:4]]
    read = [DefaultParseValue(word) for word in shlex.split(typed(command))[4:]]
    assert read == [DefaultParseValue(word) for word in command[4:]]
    assert sys.executable not in typed(command)
