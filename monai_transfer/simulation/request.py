"""What a cohort on disk is made of, and how one subject of it is made."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_transfer.simulation.layout import is_complete, subject_folder, write_subject
from monai_transfer.simulation.raw import simulate_raw_visits
from monai_transfer.simulation.raw_layout import is_complete_raw, raw_folder, write_raw
from monai_transfer.simulation.rules import check_request
from monai_transfer.simulation.subject import simulate_visits

ASIDE = ".partial-"
"""Start of the names of what is not whole yet."""


@dataclass(frozen=True)
class Request:
    """All that decides about the bytes of a cohort, whatever its size.

    Args:
        disease: one of ``body.DISEASES``.
        spacing_mm: edge of a voxel.
        seed: of the cohort.
        protocol: one for all, by name; ``None`` draws one of the library for each subject.
        raw: whether subjects are as the scanner gives them, or prepared.

    Raises:
        InputError: for an unknown name, or a number out of range.
    """

    disease: str
    spacing_mm: float
    seed: int
    protocol: str | None
    raw: bool

    def __post_init__(self) -> None:
        check_request(
            self.disease,
            spacing_mm=self.spacing_mm,
            seed=self.seed,
            protocol=self.protocol,
            raw=self.raw,
        )

    def folder(self, index: int) -> Path:
        """Of a subject, relative to the cohort."""
        return (raw_folder if self.raw else subject_folder)(self.disease, index)

    def is_complete(self, cohort: Path, index: int) -> bool:
        """Whether a subject is there, each of its files whole."""
        check = is_complete_raw if self.raw else is_complete
        return check(cohort / self.folder(index), self.disease, index)

    def make(self, cohort: Path, index: int) -> None:
        """Simulate and write one subject; rename it into place as the last step."""
        final = cohort / self.folder(index)
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{ASIDE}{final.name}-", dir=cohort))
        try:
            aside.chmod(final.parent.stat().st_mode)
            self._write(aside, index)
            if final.exists() and not self.is_complete(cohort, index):
                shutil.rmtree(final)
            try:
                aside.rename(final)
            except OSError:
                if not self.is_complete(cohort, index):  # else another run was first
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _write(self, folder: Path, index: int) -> None:
        options: dict[str, Any] = {
            "spacing_mm": self.spacing_mm,
            "seed": self.seed,
            "protocol": self.protocol,
        }
        if self.raw:
            for session, series in simulate_raw_visits(self.disease, index, **options).items():
                write_raw(series, folder, disease=self.disease, index=index, session=session)
        else:
            for subject in simulate_visits(self.disease, index, **options):
                write_subject(subject, folder)
