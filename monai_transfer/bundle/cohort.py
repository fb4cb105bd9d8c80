"""The data of a run: a user's, through manifest or datalist, or a simulated default."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from monai_transfer.bundle.entries import Entry, located_lists
from monai_transfer.bundle.location import cache_dir
from monai_transfer.bundle.simulated import simulated_default
from monai_transfer.bundle.workflow import running_config
from monai_transfer.data import (
    build_datalist,
    empty_shares,
    find_subjects,
    manifest_path,
    nested_subset,
    read_datalist,
    read_manifest,
    require_clean,
)
from monai_transfer.errors import InputError
from monai_transfer.simulation.cohort import RECORD
from monai_transfer.training import console, progress_bar

_DEFAULT_TEST = 0.2
"""Share of a simulated default that is tested, where its paper tests on another data set."""

_SHOWN = 10
"""Warnings of the gate that a run prints; they stop nothing."""


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
    """

    name: str
    simulated: bool
    lists: Mapping[str, list[Entry]] = field(default_factory=dict)
    sha256: str | None = None
    datalist: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None

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
            f"{len(entries)} {name}" for name, entries in parts.items() if entries is not None
        ]
        kind = " (simulated)" if self.simulated else ""
        console.print(f"Data: {self.name}{kind}, {', '.join(counts)} subjects.", highlight=False)
        if training and not self.validation and validation == training:
            console.print("No validation subjects: the training subjects choose the epoch.")

    def about(self) -> dict[str, Any]:
        """What a run's record says of its data: name, digest, and whether they are simulated."""
        return {"name": self.name, "simulated": self.simulated, "sha256": self.sha256}


def open_cohort(
    disease: str,
    modalities: Sequence[str],
    *,
    dataset_dir: str | Path | None = None,
    datalist: str | Path | None = None,
    manifest: str | None = None,
    spacing_mm: float | None = None,
    required: Sequence[str] = (),
) -> Cohort:
    """Find a run's data, or simulate them once, and pass them through the gate.

    A caller that puts entries of its own in the place of the training data, as MONAI Label does,
    gets an empty cohort: nothing is simulated, and nothing tested.

    Args:
        disease: what to simulate, as in :func:`~monai_transfer.simulation.simulate_cohort`.
        modalities: the channels the network expects, in its order.
        dataset_dir: folder of the data; ``None`` simulates a cohort into the cache folder.
        datalist: a Decathlon datalist; its paths are relative to `dataset_dir`, or to its own
            folder. ``None`` builds one from the manifest, split as its paper did.
        manifest: name or path of the data set's description.
        spacing_mm: of the simulated cohort; ``None`` is 2.
        required: lists that must not be empty.

    Raises:
        InputError: any fault the gate finds, a modality the data set lacks, an empty required list.
    """
    if _training_data_replaced():
        return Cohort("given by the caller", simulated=False)
    with _first_process_first():
        content, folder = _content(disease, dataset_dir, datalist, manifest, spacing_mm)
        if idist.get_rank() == 0:
            _pass_gate(content, folder)
    lists = located_lists(content, folder, modalities)
    lists["test"] = _labelled(lists["test"])
    for name in required:
        if not lists[name]:
            raise InputError("datalist", f"list {name}", "hold a labelled subject", got="none")
    canonical = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    simulated = (folder / RECORD).is_file()
    name = str(content.get("name", folder.name))
    return Cohort(name, simulated, lists, digest, datalist=content, folder=folder)


def find_images(
    disease: str,
    modalities: Sequence[str],
    *,
    dataset_dir: str | Path | None,
    manifest: str,
) -> list[Entry]:
    """Subjects of a folder to segment; labels are not needed.

    Args:
        disease: what to simulate when there is no folder.
        modalities: the channels the network expects, in its order.
        dataset_dir: folder in the manifest's layout; ``None`` takes the test subjects of the
            simulated default.
        manifest: name or path of the data set's description.

    Raises:
        InputError: no subjects, incomplete ones, or any fault the gate finds in the images.
    """
    if dataset_dir is None:
        return open_cohort(disease, modalities, required=["test"]).test
    described = replace(read_manifest(manifest_path(manifest)), label=None)
    subjects = find_subjects(described, dataset_dir)
    content: dict[str, Any] = {
        "modality": {str(i): name for i, name in enumerate(described.modalities)},
        "labels": {str(value): name for value, name in described.labels.items()},
        "training": [],
        "test": [{"image": list(s.images), "subject": s.subject} for s in subjects],
    }
    _pass_gate(content, Path(dataset_dir))
    return located_lists(content, Path(dataset_dir), modalities)["test"]


@contextmanager
def _first_process_first() -> Iterator[None]:
    """The other processes of a run wait until the first has simulated and checked the data."""
    if idist.get_rank() > 0:
        idist.barrier()
    yield
    if idist.get_rank() == 0:
        idist.barrier()


def _training_data_replaced() -> bool:
    train = running_config().get("train")
    dataset = train.get("dataset") if isinstance(train, Mapping) else None
    data = dataset.get("data") if isinstance(dataset, Mapping) else None
    return data is not None and not isinstance(data, str)


def _content(
    disease: str,
    dataset_dir: str | Path | None,
    datalist: str | Path | None,
    manifest: str | None,
    spacing_mm: float | None,
) -> tuple[dict[str, Any], Path]:
    """The datalist of a run, and the folder that its paths start from."""
    if datalist is not None:
        folder = Path(datalist).parent if dataset_dir is None else Path(dataset_dir)
        return read_datalist(datalist), folder
    if dataset_dir is None:
        described, folder = simulated_default(disease, spacing_mm=spacing_mm)
        test = described.split.test or _DEFAULT_TEST
        return build_datalist(described, folder, test=test), folder
    described = read_manifest(manifest_path(manifest or f"simulated_{disease}"))
    content = build_datalist(described, dataset_dir)
    if idist.get_rank() == 0:
        for line in empty_shares(content):
            console.print(f"warning: {line}", highlight=False, markup=False)
    return content, Path(dataset_dir)


def _pass_gate(content: Mapping[str, Any], folder: Path) -> None:
    with progress_bar() as bar:
        task = bar.add_task("checking the data", total=None)
        warnings = require_clean(
            content,
            folder,
            cache_dir=cache_dir(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for warning in warnings[:_SHOWN]:
        console.print(str(warning), highlight=False, markup=False)
    if len(warnings) > _SHOWN:
        console.print(f"and {len(warnings) - _SHOWN} more warnings: monai-transfer manifest check")


def _labelled(test: list[Entry]) -> list[Entry]:
    """The entries that can be scored; how many cannot is said."""
    labelled = [entry for entry in test if entry.get("label") is not None]
    if len(labelled) < len(test) and idist.get_rank() == 0:
        console.print(f"{len(test) - len(labelled)} test subjects have no label: not scored.")
    return labelled
