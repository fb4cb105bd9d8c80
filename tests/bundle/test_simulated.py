import subprocess
import sys
from pathlib import Path

import pytest

from monai_transfer.bundle.simulated import simulated_default
from monai_transfer.data import find_subjects
from monai_transfer.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONAI_TRANSFER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def test_a_cohort_is_simulated_once_then_reused_and_goes_on_when_incomplete(
    cache: Path, capsys: pytest.CaptureFixture[str]
):
    manifest, folder = simulated_default("ms", ["t1"], subjects=2, spacing_mm=8)
    assert folder.parent == cache
    first, second = find_subjects(manifest, folder)
    said = capsys.readouterr().out
    assert said == f"No data set given: simulating 2 subjects (ms) once, into {folder}\n"
    before = contents(folder)
    assert simulated_default("ms", ["t1"], subjects=2, spacing_mm=8) == (manifest, folder)
    said = capsys.readouterr().out
    assert said == f"No data set given: the simulated cohort of 2 subjects in {folder} is reused.\n"
    assert contents(folder) == before
    (folder / second.images[1]).unlink()
    simulated_default("ms", ["t1"], subjects=2, spacing_mm=8)
    assert "simulating 2 subjects" in capsys.readouterr().out
    assert (folder / second.images[1]).exists()
    kept = str(folder / first.images[0])
    assert contents(folder)[kept] == before[kept]


def test_both_sessions_of_the_patients_are_one_cohort_simulated_once(
    capsys: pytest.CaptureFixture[str],
):
    before, folder = simulated_default("wmh_baseline", ["t1", "flair"], subjects=5, spacing_mm=8)
    assert "simulating 5 subjects (wmh) once" in capsys.readouterr().out
    after, same = simulated_default("wmh_followup", ["t1", "flair"], subjects=5, spacing_mm=8)
    assert f"the simulated cohort of 5 subjects in {folder} is reused" in capsys.readouterr().out
    assert same == folder
    assert (before.name, after.name) == ("simulated_wmh_baseline", "simulated_wmh_followup")
    assert [len(find_subjects(manifest, folder)) for manifest in (before, after)] == [5, 4]


def test_tissues_and_structures_are_two_labels_of_one_cohort(
    capsys: pytest.CaptureFixture[str],
):
    tissue, folder = simulated_default("tissue", ["t1"], subjects=2, spacing_mm=8)
    structures, same = simulated_default("structures", ["t1"], subjects=2, spacing_mm=8)
    assert f"the simulated cohort of 2 subjects in {folder} is reused" in capsys.readouterr().out
    assert same == folder
    assert (tissue.name, structures.name) == ("simulated_tissue", "simulated_structures")
    labels = [
        [s.label for s in find_subjects(manifest, folder)] for manifest in (tissue, structures)
    ]
    assert [len(found) for found in labels] == [2, 2]
    assert not set(labels[0]) & set(labels[1])


def test_another_size_or_spacing_is_another_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("subprocess.run", lambda *_, **__: None)
    folders = {
        simulated_default(disease, ["t1"], subjects=subjects, spacing_mm=spacing)[1]
        for disease, subjects, spacing in (
            *(("ms", 2, 8), ("ms", 3, 8), ("ms", 2, 4), ("brats", 2, 8), ("ms", 2, None)),
            *(("ms", 2, 1.0), ("brats", 2, 2.0), ("brats", 2, None)),  # None is 1, and 2
        )
    }
    assert len(folders) == 6


@pytest.mark.parametrize(
    ("disease", "spacing_mm", "fragment"),
    [
        (
            "strok",
            2,
            "must be one of anatomy, brats, brats2015, ms, ms_t1, natural, stroke, structures, ",
        ),
        ("ms", 20, "lie between 0.5 and 10"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    disease: str, spacing_mm: float, fragment: str, cache: Path
):
    with pytest.raises(InputError, match=fragment):
        simulated_default(disease, ["t1"], spacing_mm=spacing_mm)
    assert not cache.exists()


def test_a_modality_that_cannot_be_simulated_is_refused_before(cache: Path):
    with pytest.raises(InputError, match=r"modality must include t1, dwi, got .*: no dwi"):
        simulated_default("ms", ["t1", "dwi"])
    assert not cache.exists()


@pytest.mark.slow
def test_it_works_from_a_script_without_a_main_guard(tmp_path: Path):
    """Workers of a simulation import the main module: this one would start itself again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from monai_transfer.bundle import simulated\n"
        "print('started', flush=True)\n"
        "simulated._cores = lambda: 2\n"
        "simulated.simulated_default('ms', ['t1'], subjects=16, spacing_mm=8)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.count("started") == 1
