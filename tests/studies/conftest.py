"""A small cohort to divide, and runs that take no time."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.bundle import open_cohort
from monai_transfer.bundle.cohort import Cohort
from monai_transfer.studies import grid
from monai_transfer.training.status import CollapseError, Status, reason_of

PATIENTS = {f"Brats18_{i:02}": "HGG" if i < 6 else "LGG" for i in range(9)}
LABELS = np.array([0, 1, 2, 4])
MODALITIES = ("t1", "t1c", "t2", "flair")
WMH_LABEL = "space-FLAIR_label-WMH_mask"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Nine patients in the layout of BraTS 2018, the first with two visits."""
    folder = tmp_path / "data"
    for number, (patient, group) in enumerate([*PATIENTS.items(), ("Brats18_00", "HGG")]):
        subject = f"{patient}_{1 + (number == 9)}"
        (folder / group / subject).mkdir(parents=True)
        for i, token in enumerate(("t1", "t1ce", "t2", "flair", "seg")):
            voxels = np.random.default_rng([number, i]).integers(1, 900, (8, 9, 7))
            stored = (LABELS[voxels % 4] if token == "seg" else voxels).astype(np.int16)
            path = folder / group / subject / f"{subject}_{token}.nii.gz"
            nib.save(nib.Nifti1Image(stored, np.eye(4)), path)
    return folder


@pytest.fixture
def rescanned(tmp_path: Path) -> Path:
    """Six patients with hyperintensities, four of them to train on, in both sessions."""
    folder = tmp_path / "rescanned"
    sets = ["training"] * 4 + ["validation", "test"]
    for number in range(len(sets)):
        for session in ("baseline", "followup"):
            name = f"sub-wmh{number:04}"
            anat = folder / name / f"ses-{session}" / "anat"
            anat.mkdir(parents=True)
            for i, token in enumerate(("space-FLAIR_T1w", "FLAIR", WMH_LABEL)):
                voxels = np.random.default_rng([number, i]).integers(1, 900, (8, 9, 7))
                stored = (voxels % 9 == 0 if token == WMH_LABEL else voxels).astype(np.int16)
                path = anat / f"{name}_ses-{session}_{token}.nii.gz"
                nib.save(nib.Nifti1Image(stored, np.eye(4)), path)
    rows = "".join(f"sub-wmh{number:04}\t{part}\n" for number, part in enumerate(sets))
    (folder / "participants.tsv").write_text(f"participant_id\tsplit\n{rows}")
    return folder


@pytest.fixture
def cohort(data: Path) -> Cohort:
    return open_cohort("brats", MODALITIES, dataset_dir=data, manifest="simulated_brats")


def options_of(command: list[str]) -> dict[str, str]:
    return dict(zip([word[2:] for word in command[4::2]], command[5::2], strict=True))


@dataclass
class Runs:
    """What was run, as options; `history` gives a run's history, or ends it with an error line,
    as a collapsed training or by a signal."""

    asked: list[dict[str, str]] = field(default_factory=list)
    history: Callable[[dict[str, str]], str] = lambda _: "epoch,loss,mean_dice\n1,2.0,0.5\n"

    def __call__(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "monai.bundle", "run"]
        options = options_of(command)
        self.asked.append(options)
        folder = Path(options["output_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / "history.csv").write_text(self.history(options))
        except (ArithmeticError, CollapseError) as error:
            if isinstance(error, CollapseError):
                Status("collapsed", 1, 9, reason_of(error)).write(folder)
            said = f"a warning{os.linesep}error: {error}\n(--debug True shows where)\n"
            return subprocess.CompletedProcess(command, 1, "some progress\n", said)
        except InterruptedError as signum:
            return subprocess.CompletedProcess(command, signum.args[0], "", "a bar, half of it\n")
        Status("done", 1, 1).write(folder)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Stands in for the processes of a grid."""
    ran = Runs()
    monkeypatch.setattr(grid, "run_child", ran)
    return ran


@pytest.fixture
def study_command(tmp_path: Path) -> Callable[[str], str]:
    """Runs ``monai-transfer study …`` in a folder of its own; gives what it prints."""

    def command(words: str) -> str:
        call = [sys.executable, "-m", "monai_transfer", "study", *words.split()]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command
