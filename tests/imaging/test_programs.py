import sys
from pathlib import Path

import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging.programs import filled, run_program

WRITE = "import os, sys; open('log', 'w').write(repr([os.environ.get(k) for k in sys.argv[1:]]))"


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def test_a_place_is_one_word_whatever_its_name_and_other_braces_stay():
    words = filled("run -i {image} '{} {x}' -o {mask}", {"image": "a b.nii", "mask": "$(c)"})
    assert words == ["run", "-i", "a b.nii", "{} {x}", "-o", "$(c)"]


def test_a_program_runs_in_the_folder_with_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FSLDIR", "kept")
    names = "OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "FSLDIR"
    run_program(python(WRITE, *names), tmp_path, threads=3)
    assert (tmp_path / "log").read_text() == "['3', '3', 'kept']"


def test_without_a_number_of_threads_the_variables_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    run_program(python(WRITE, "OMP_NUM_THREADS"), tmp_path)
    assert (tmp_path / "log").read_text() == "['5']"


def test_a_missing_program_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"greedyXX: program must be installed. It is on a shelf"):
        run_program(["greedyXX"], tmp_path, obtain="It is on a shelf.")


def test_how_a_program_ended_is_told(tmp_path: Path):
    fail = python(
        "import sys; print('quite\\nout of\\nits\\nmemory', file=sys.stderr); sys.exit(3)"
    )
    with pytest.raises(InputError, match=r"status 0, got status 3: out of \| its \| memory"):
        run_program(fail, tmp_path)
