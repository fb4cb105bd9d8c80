import errno
import os
import sys
from types import SimpleNamespace

import pytest

from monai_transfer.bundle import check_overrides
from monai_transfer.bundle.overrides import _say_input_errors
from monai_transfer.errors import InputError


@pytest.fixture(autouse=True)
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


def as_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "__main__", SimpleNamespace(__spec__=SimpleNamespace(name=name))
    )


def wrapped(inner: Exception) -> RuntimeError:
    """As MONAI wraps what a component raises: twice, once explicitly."""
    try:
        try:
            try:
                raise inner
            except Exception as error:
                raise RuntimeError("Failed to instantiate") from error
        except RuntimeError:
            raise RuntimeError("Failed to evaluate")  # noqa: B904
    except RuntimeError as outer:
        return outer


def test_outside_a_workflow_there_is_nothing_to_check():
    check_overrides()
    assert sys.excepthook is sys.__excepthook__


def test_a_notebook_or_script_keeps_its_tracebacks(monkeypatch: pytest.MonkeyPatch):
    as_program("my_script", monkeypatch)
    check_overrides()
    assert sys.excepthook is sys.__excepthook__


def test_monais_program_says_input_errors_in_a_line_unless_debugging(
    monkeypatch: pytest.MonkeyPatch,
):
    as_program("monai.bundle.__main__", monkeypatch)
    check_overrides(debug=True)
    assert sys.excepthook is sys.__excepthook__
    check_overrides()
    assert sys.excepthook is _say_input_errors


def test_an_input_error_is_found_however_deep(capsys: pytest.CaptureFixture[str]):
    error = wrapped(InputError("sub-01", "label", "hold 0 or 1", got=3))
    _say_input_errors(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == (
        "error: sub-01: label must hold 0 or 1, got 3.\n(--debug True shows where it was raised)\n"
    )


def test_any_other_error_is_shown_in_full(capsys: pytest.CaptureFixture[str]):
    error = wrapped(ZeroDivisionError("by zero"))
    _say_input_errors(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "ZeroDivisionError: by zero" in shown
    assert "error: " not in shown.replace("Error: ", "")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_failing_disk_is_one_line_that_says_how_to_go_on(
    code: int, capsys: pytest.CaptureFixture[str]
):
    error = RuntimeError("Failed to evaluate")
    error.__cause__ = OSError(code, os.strerror(code), "runs/a/checkpoint.pt")
    _say_input_errors(type(error), error, error.__traceback__)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert f"{os.strerror(code)}: 'runs/a/checkpoint.pt'. Mend that; --resume True goes" in first
    assert second == "(--debug True shows where it was raised)"


def test_any_other_error_of_the_system_is_shown_in_full(capsys: pytest.CaptureFixture[str]):
    error = FileNotFoundError(2, "No such file", "x")
    _say_input_errors(type(error), error, error.__traceback__)
    assert "FileNotFoundError" in capsys.readouterr().err
