"""The data of a run: a user's, through manifest or datalist, or a simulated default."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from monai_transfer.bundle.cohort import Cohort
from monai_transfer.bundle.entries import Entry, require_modalities
from monai_transfer.bundle.location import cache_dir
from monai_transfer.bundle.simulated import simulated_default
from monai_transfer.bundle.workflow import running_config
from monai_transfer.data import (
    Manifest,
    build_datalist,
    empty_splits,
    find_usable,
    manifest_path,
    read_datalist,
    read_manifest,
    require_clean,
)
from monai_transfer.errors import InputError
from monai_transfer.simulation.record import manifests_named
from monai_transfer.training import console, progress_bar

_DEFAULT_TEST = 0.2
"""Share of a simulated default that is tested, where its paper tests on another data set."""

_SHOWN = 10
"""Warnings of the gate that a run prints; they stop nothing."""

_REMEDIES = {
    "test": 'Give a --datalist with subjects under "test": monai-transfer manifest build with '
    "--validation 0 --test 1.0 puts all of a folder there."
}
"""What to do about an empty list, by name."""


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
        spacing_mm: of the simulated cohort; ``None``: see
            :func:`~monai_transfer.bundle.simulated.simulated_default`.
        required: lists that must not be empty.

    Raises:
        InputError: any fault the gate finds, a modality the data set lacks, an empty required list.
    """
    if _training_data_replaced():
        return Cohort("given by the caller", simulated=False, modalities=tuple(modalities))
    with _first_process_first():
        content, folder = _content(
            disease,
            modalities,
            dataset_dir=dataset_dir,
            datalist=datalist,
            manifest=manifest,
            spacing_mm=spacing_mm,
        )
        if idist.get_rank() == 0:
            _pass_gate(content, folder)
    cohort = Cohort.of(content, folder, modalities=modalities)
    cohort = replace(cohort, lists={**cohort.lists, "test": _labelled(cohort.test)})
    for name in required:
        if not cohort.lists[name]:
            todo = _REMEDIES.get(name, f'Put subjects under "{name}".')
            rule = "hold a labelled subject"
            raise InputError("datalist", f"list {name}", rule, got="none", todo=todo)
    return cohort


def find_images(
    disease: str,
    modalities: Sequence[str],
    *,
    dataset_dir: str | Path | None,
    manifest: str,
    spacing_mm: float | None = None,
) -> Cohort:
    """Subjects of a folder to segment, as ``test``; labels are not needed.

    Args:
        disease: what to simulate when there is no folder.
        modalities: the channels the network expects, in its order.
        dataset_dir: folder in the manifest's layout; ``None`` takes the test subjects of the
            simulated default.
        manifest: name or path of the data set's description.
        spacing_mm: of the simulated cohort, as in :func:`open_cohort`.

    Raises:
        InputError: no subjects, incomplete ones, or any fault the gate finds in the images.
    """
    if dataset_dir is None:
        return open_cohort(disease, modalities, spacing_mm=spacing_mm, required=["test"])
    described = _described(manifest, modalities).images_alone()
    with manifests_named(Path(dataset_dir), described.name):
        usable, subjects = find_usable(described, dataset_dir, needed=modalities)
    _tell_left_out(described.modalities, usable.modalities)
    content: dict[str, Any] = {
        "name": described.name,
        "modality": {str(i): name for i, name in enumerate(usable.modalities)},
        "labels": {str(value): name for value, name in described.labels.items()},
        "training": [],
        "test": [{"image": list(s.images), "subject": s.subject} for s in subjects],
    }
    folder = Path(dataset_dir)
    _pass_gate(content, folder)
    return Cohort.of(content, folder, modalities=modalities)


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
    modalities: Sequence[str],
    *,
    dataset_dir: str | Path | None,
    datalist: str | Path | None,
    manifest: str | None,
    spacing_mm: float | None,
) -> tuple[dict[str, Any], Path]:
    """The datalist of a run, and the folder that its paths start from."""
    if datalist is not None:
        folder = Path(datalist).parent if dataset_dir is None else Path(dataset_dir)
        return read_datalist(datalist), folder
    path = manifest or f"simulated_{disease}"
    if dataset_dir is None:
        manifest_path(path)  # one that is not there is refused all the same
        described, folder = simulated_default(disease, modalities, spacing_mm=spacing_mm)
        told = described.split.told is not None
        test = None if told else described.split.test or _DEFAULT_TEST
        return build_datalist(described, folder, test=test), folder
    given = _described(path, modalities)
    with manifests_named(Path(dataset_dir), given.name):
        content = build_datalist(given, dataset_dir, needed=modalities)
    _tell_left_out(given.modalities, content["modality"].values())
    if idist.get_rank() == 0:
        for line in empty_splits(content):
            console.print(f"warning: {line}", highlight=False, markup=False)
    return content, Path(dataset_dir)


def _described(manifest: str, modalities: Sequence[str]) -> Manifest:
    """A data set's description, which names every modality that is asked for."""
    described = read_manifest(manifest_path(manifest))
    require_modalities([name.lower() for name in described.modalities], modalities)
    return described


def _tell_left_out(described: Collection[str], listed: Collection[str]) -> None:
    """Say which modalities are not looked at, for somebody lacks them and nobody asks for them."""
    left_out = [name for name in described if name not in listed]
    if left_out and idist.get_rank() == 0:
        told = f"Some subjects lack {' or '.join(left_out)}, which is not needed: left out."
        console.print(told, highlight=False, markup=False)


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
