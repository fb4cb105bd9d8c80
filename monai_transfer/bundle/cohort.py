"""The data of a run: a user's, through manifest or datalist, or a simulated default."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from monai_transfer.bundle.location import cache_dir
from monai_transfer.data import (
    build_datalist,
    find_subjects,
    manifest_path,
    nested_subset,
    read_datalist,
    read_manifest,
    require_clean,
)
from monai_transfer.errors import InputError
from monai_transfer.simulation.cohort import REVISION, simulate_cohort
from monai_transfer.training import console

Entry = dict[str, Any]


@dataclass(frozen=True)
class Cohort:
    """A datalist that passed the gate, with absolute paths and channels in the asked order.

    Args:
        name: of the data set.
        simulated: whether it is the simulated default.
        lists: ``training``, ``validation`` and ``test`` entries.
        sha256: digest of the datalist.
    """

    name: str
    simulated: bool
    lists: Mapping[str, list[Entry]]
    sha256: str

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
        """Entries that choose the epoch."""
        return self.lists["validation"]

    @property
    def test(self) -> list[Entry]:
        """Entries that are scored at the end."""
        return self.lists["test"]


def open_cohort(
    disease: str,
    modalities: Sequence[str],
    *,
    dataset_dir: str | Path | None = None,
    datalist: str | Path | None = None,
    manifest: str | None = None,
    subjects: int = 30,
    spacing_mm: float = 2.0,
) -> Cohort:
    """Find a run's data, or simulate them once, and pass them through the gate.

    Args:
        disease: what to simulate, as in :func:`~monai_transfer.simulation.simulate_cohort`.
        modalities: the channels the network expects, in its order.
        dataset_dir: folder of the data; ``None`` simulates a cohort into the cache folder.
        datalist: a Decathlon datalist; its paths are relative to `dataset_dir`, or to its own
            folder. ``None`` builds one from the manifest, split as its paper did.
        manifest: name or path of the data set's description.
        subjects: of the simulated cohort.
        spacing_mm: of the simulated cohort.

    Raises:
        InputError: any fault the gate finds, a modality the data set lacks, or an empty list.
    """
    simulated = dataset_dir is None and datalist is None
    if datalist is not None:
        folder = Path(dataset_dir) if dataset_dir is not None else Path(datalist).parent
        content = read_datalist(datalist)
    else:
        folder = _simulated(disease, subjects, spacing_mm) if simulated else Path(str(dataset_dir))
        name = f"simulated_{disease}" if simulated or manifest is None else manifest
        content = build_datalist(read_manifest(_manifest(name)), folder)
    _pass_gate(content, folder)
    lists = {
        key: [
            _located(entry, folder, _order(content, modalities)) for entry in content.get(key, [])
        ]
        for key in ("training", "validation", "test")
    }
    canonical = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    return Cohort(str(content.get("name", folder.name)), simulated, lists, digest)


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
    """
    if dataset_dir is None:
        return open_cohort(disease, modalities).test
    description = read_manifest(_manifest(manifest))
    order = _order({"modality": dict(enumerate(description.modalities))}, modalities)
    return [
        _located({"image": list(s.images), "subject": s.subject}, Path(dataset_dir), order)
        for s in find_subjects(description, dataset_dir)
    ]


def _manifest(name: str) -> Path:
    return Path(name) if name.endswith(".json") else manifest_path(name)


def _simulated(disease: str, subjects: int, spacing_mm: float) -> Path:
    folder = cache_dir() / f"{disease}_{subjects}_subjects_{spacing_mm:g}_mm_revision_{REVISION}"
    new = not folder.exists()
    if new:
        console.print(f"No --dataset_dir: simulating {subjects} subjects ({disease}) once.")
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    simulate_cohort(
        disease, folder, subjects=subjects, spacing_mm=spacing_mm, workers=workers or 1, seed=0
    )
    if not new:
        console.print(f"No --dataset_dir: the simulated cohort of {subjects} subjects is reused.")
    return folder


def _pass_gate(content: Mapping[str, Any], folder: Path) -> None:
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("checking the data", total=None)
        require_clean(
            content,
            folder,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _order(content: Mapping[str, Any], modalities: Sequence[str]) -> list[int]:
    """Index of each wanted modality among those of the data set."""
    given = {str(name).lower(): int(index) for index, name in content["modality"].items()}
    missing = [m for m in modalities if m not in given]
    if missing:
        rule = f"include {', '.join(modalities)}"
        got = f"{', '.join(given)}: no {', '.join(missing)}"
        raise InputError("datalist", "modality", rule, got=got, todo="Name them in the datalist.")
    return [given[m] for m in modalities]


def _located(entry: Any, folder: Path, order: Sequence[int]) -> Entry:
    """An entry with absolute paths, its images in the wanted order."""
    located: Entry = {"image": entry} if isinstance(entry, str) else dict(entry)
    image = located["image"]
    if isinstance(image, str):
        if list(order) != sorted(order):
            rule = "hold the modalities in the bundle's order"
            raise InputError(image, "4D image", rule, todo="List one file per modality instead.")
        located["image"] = str(folder / image)
        located.setdefault("subject", Path(image).name.split(".")[0])
    else:
        located["image"] = [str(folder / image[i]) for i in order]
        located.setdefault("subject", Path(image[0]).name.split(".")[0])
    if "label" in located:
        located["label"] = str(folder / located["label"])
    return located
