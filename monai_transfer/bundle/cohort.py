"""A run's data: a checked datalist, ready for the loader."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from monai_transfer.bundle.entries import Entry, located_lists
from monai_transfer.data import nested_subset
from monai_transfer.imaging import read_standard_scale
from monai_transfer.imaging.nyul import SCALE_FILE
from monai_transfer.simulation.record import RECORD
from monai_transfer.training import console


@dataclass(frozen=True)
class Cohort:
    """A datalist that passed the gate, with absolute paths and channels in the asked order.

    Args:
        name: of the data set.
        simulated: whether the folder says so, as every simulated cohort's does.
        lists: ``training``, ``validation`` and ``test`` entries.
        sha256: digest of the datalist; ``None`` when the caller brought entries of its own.
        datalist: the datalist itself, entries in the order of `lists`.
        folder: its paths are relative to it; ``None`` without a datalist.
        modalities: the channels of every entry, in this order.
    """

    name: str
    simulated: bool
    lists: Mapping[str, list[Entry]] = field(default_factory=dict)
    sha256: str | None = None
    datalist: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    modalities: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, datalist: Mapping[str, Any], folder: Path, *, modalities: Sequence[str]
    ) -> "Cohort":
        """The cohort of a datalist that passed the gate.

        Args:
            datalist: its content.
            folder: its paths are relative to it.
            modalities: the channels the network expects, in its order.

        Raises:
            InputError: a modality that the data set lacks.
        """
        return cls(
            name=str(datalist.get("name", folder.name)),
            simulated=(folder / RECORD).is_file(),
            lists=located_lists(datalist, folder, modalities),
            sha256=hashlib.sha256(json.dumps(datalist, sort_keys=True).encode()).hexdigest(),
            datalist=datalist,
            folder=folder,
            modalities=tuple(modalities),
        )

    def training(self, cases: int | None = None, seed: int = 0) -> list[Entry]:
        """Training entries; the first `cases` of the seed's nested, stratified order.

        Args:
            cases: ``None`` takes all.
            seed: another one gives another repeat.

        Raises:
            InputError: fewer than 1 or more than there are.
        """
        entries = self.lists["training"]
        chosen = len(entries) if cases is None else cases
        return nested_subset(entries, chosen, seed=seed)

    @property
    def validation(self) -> list[Entry]:
        """Entries that choose the epoch; none, as with a single labelled scan, is possible."""
        return self.lists.get("validation", [])

    @property
    def test(self) -> list[Entry]:
        """Labelled entries that are scored at the end; there may be none."""
        return self.lists.get("test", [])

    def announce(
        self, *, training: Sequence[Any] | None = None, validation: Sequence[Any] | None = None
    ) -> None:
        """Say in one line what a run's data are; a config's ``run`` opens them by it.

        Args:
            training: the entries that are trained on; ``None`` in an evaluation.
            validation: the entries that choose the epoch; likewise.
        """
        if idist.get_rank() != 0:
            return
        parts = {"training": training, "validation": validation, "test": self.test}
        counts = [
            f"{len(entries)}{self._of_all(name, len(entries))} {name}"
            for name, entries in parts.items()
            if entries is not None
        ]
        kind = " (simulated)" if self.simulated else ""
        said = f"Data: {self.name}{kind}, {', '.join(counts)} subjects."
        console.print(said, highlight=False, markup=False, soft_wrap=True)
        if training and not self.validation and validation == training:
            console.print("No validation subjects: the training subjects choose the epoch.")

    def _of_all(self, name: str, taken: int) -> str:
        there = len(self.lists.get(name, []))
        return f" of {there}" if taken < there else ""

    def about(self) -> dict[str, Any]:
        """What a run's record says of its data: name, digest, whether simulated, channels.

        And the standard scale that they were brought to, where ``preprocess`` left one.
        """
        said = {"name": self.name, "simulated": self.simulated, "sha256": self.sha256}
        said |= {"modalities": list(self.modalities)}
        if self.folder is None or not (self.folder / SCALE_FILE).is_file():
            return said
        scale = read_standard_scale(self.folder / SCALE_FILE)
        return said | {"standard_scale": asdict(scale)}
