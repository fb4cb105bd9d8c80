"""The gate: every rule on every subject of a datalist, all faults in one pass."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from monai_transfer.data.cohort_rules import CohortRules, leakage_faults
from monai_transfer.data.entries import Entry, channel_count, declared_labels, read_entries
from monai_transfer.data.entry_files import file_faults, files_of
from monai_transfer.data.faults import Fault, all_at_once, fault
from monai_transfer.data.reading import Reader, Reading
from monai_transfer.data.record_cache import RecordCache
from monai_transfer.data.verdicts import Verdict, keep_verdict, known_verdict, verdict_key
from monai_transfer.errors import InputError

_AHEAD = 64
"""Subjects that are read before the first of them is judged."""


def check_datalist(
    datalist: Mapping[str, Any],
    dataset_dir: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fault]:
    """Check a datalist and read every file in it once, to the end.

    Args:
        datalist: any Decathlon ``dataset.json`` (`read_datalist`).
        dataset_dir: folder its paths are relative to.
        cache_dir: folder in which measurements are kept, so that a file that is still the same is
            not read again; ``None`` reads all. See `monai_transfer.data.reading.Reader`.
        workers: threads, each holding one file at a time; ``None``: one per core.
        progress: called with the number of subjects done and the number there are; once where all
            is as it was.

    Returns:
        All errors and warnings: of the datalist, of leakage by name, then by subject in file order,
        then between subjects; none if it is clean.

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
        raise InputError("gate", "data folder", "exist", got=root.as_posix())
    told = progress or (lambda *_: None)
    if cache_dir is None:
        return list(_judge(datalist, Reader(root), workers=workers, told=told)[0].faults)
    with closing(RecordCache(Path(cache_dir), root)) as records:
        key = verdict_key(datalist)
        verdict = known_verdict(records, key, root)
        if verdict is None:
            reader = Reader(root, records)
            verdict, identities = _judge(datalist, reader, workers=workers, told=told)
            keep_verdict(records, key, verdict, identities=identities)
        else:
            told(verdict.subjects, verdict.subjects)
    return list(verdict.faults)


def _judge(
    datalist: Mapping[str, Any],
    reader: Reader,
    *,
    workers: int | None,
    told: Callable[[int, int], None],
) -> tuple[Verdict, dict[str, str]]:
    """All faults; and file → identity, empty for a file to be read again or told of once."""
    entries, faults = read_entries(datalist)
    faults += leakage_faults(entries)
    channels, labels = channel_count(datalist), declared_labels(datalist)
    names = list(datalist["modality"].values()) if channels else []
    cohort = CohortRules(labels, names)
    identities: dict[str, str] = {}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        results = _in_order(pool, partial(_read_files, reader=reader), entries)
        for done, (entry, readings) in enumerate(zip(entries, results, strict=True), start=1):
            measured = [reading.measured for reading in readings]
            for (file, _), reading in zip(files_of(entry), readings, strict=True):
                identities[file] = "" if reading.changed else reading.identity
            faults += _changed(entry, readings)
            faults += file_faults(entry, measured, channels=channels, labels=labels)
            cohort.add(entry, measured)
            told(done, len(entries))
    return Verdict(len(entries), [*faults, *cohort.faults()]), identities


def require_clean(
    datalist: Mapping[str, Any],
    dataset_dir: str | os.PathLike[str],
    *,
    where: str = "datalist",
    cache_dir: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fault]:
    """Pass the gate or stop.

    Args:
        datalist: as for `check_datalist`.
        dataset_dir: likewise.
        where: what to call the datalist, such as its file name.
        cache_dir: as for `check_datalist`.
        workers: likewise.
        progress: likewise.

    Returns:
        The warnings, which stop nothing.

    Raises:
        InputError: every error on a line of its own.

    Example:
        >>> require_clean({"training": []}, ".")
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: datalist: data must be free of faults, got 3. All of them:
          G101 error: datalist: key modality must be in the datalist, got no such key. ...
    """
    faults = check_datalist(
        datalist, dataset_dir, cache_dir=cache_dir, workers=workers, progress=progress
    )
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise all_at_once(where, "data", errors)
    return faults


def _in_order(
    pool: Executor, read: Callable[[Entry], list[Reading]], entries: Sequence[Entry]
) -> Iterator[list[Reading]]:
    """``pool.map`` that runs a little ahead only, so that what is not yet judged stays little."""
    waiting: deque[Future[list[Reading]]] = deque()
    for entry in entries:
        waiting.append(pool.submit(read, entry))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _read_files(entry: Entry, reader: Reader) -> list[Reading]:
    return [reader.read(file, is_label=is_label) for file, is_label in files_of(entry)]


def _changed(entry: Entry, readings: list[Reading]) -> list[Fault]:
    return [
        fault("G207", subject=entry.subject, file=file, value="other voxels or another place")
        for (file, _), reading in zip(files_of(entry), readings, strict=True)
        if reading.changed
    ]
