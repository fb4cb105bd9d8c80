"""The gate: every rule on every subject of a datalist, all faults in one pass."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from monai_transfer.data.entries import Entry, channel_count, declared_labels, read_entries
from monai_transfer.data.entry_files import file_faults
from monai_transfer.data.faults import Fault, all_at_once, fault
from monai_transfer.errors import InputError


def check_datalist(
    datalist: Mapping[str, Any],
    dataset_dir: str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fault]:
    """Check a datalist and read every file in it once, to the end.

    Args:
        datalist: any Decathlon ``dataset.json`` (`read_datalist`).
        dataset_dir: folder its paths are relative to.
        workers: threads, each holding one file at a time; ``None``: one per core.
        progress: called with the number of subjects done and the number there are.

    Returns:
        All faults: of the datalist, of leakage, then by subject in file order; none if it is clean.

    Raises:
        InputError: `dataset_dir` is not a folder.

    Source:
        Ours; the rules and their codes are `monai_transfer.data.faults.RULES`.

    Example:
        >>> for fault in check_datalist({"training": []}, "."):
        ...     print(fault.code, fault.file)
        G101 key modality
        G101 key labels
        G109 lists
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(
            "gate", "data folder", "exist", got=root.as_posix(), todo="Check --dataset-dir."
        )
    entries, faults = read_entries(datalist)
    faults += leakage_faults(entries)
    check = partial(
        file_faults, root=root, channels=channel_count(datalist), labels=declared_labels(datalist)
    )
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(check, entries), start=1):
            faults += found
            if progress is not None:
                progress(done, len(entries))
    return faults


def require_clean(
    datalist: Mapping[str, Any],
    dataset_dir: str | os.PathLike[str],
    *,
    where: str = "datalist",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Pass the gate or stop.

    Args:
        datalist: as for `check_datalist`.
        dataset_dir: likewise.
        where: what to call the datalist, such as its file name.
        workers: as for `check_datalist`.
        progress: likewise.

    Raises:
        InputError: every fault on a line of its own.

    Example:
        >>> require_clean({"training": []}, ".")
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: datalist: data must be free of faults, got 3. All of them:
          G101 error: datalist: key modality must be in the datalist, got no such key. ...
    """
    faults = check_datalist(datalist, dataset_dir, workers=workers, progress=progress)
    if faults:
        raise all_at_once(where, "data", faults)


def leakage_faults(entries: Sequence[Entry]) -> Iterator[Fault]:
    """Subjects that are listed twice, and patients with scans in more than one split."""
    by_subject: dict[str, list[str]] = {}
    by_patient: dict[str, dict[str, str]] = {}
    for entry in entries:
        by_subject.setdefault(entry.subject, []).append(entry.place)
        by_patient.setdefault(entry.patient, {}).setdefault(entry.split, entry.place)
    for subject, places in by_subject.items():
        if len(places) > 1:
            yield fault("G601", subject=subject, file="subject", value=", ".join(places))
    for patient, splits in by_patient.items():
        if len(splits) > 1:
            yield fault("G602", subject=patient, file="patient", value=", ".join(splits.values()))
