"""The entries of a datalist and the rules that need no file to be opened."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from monai_transfer.data.expressions import expressions_in
from monai_transfer.data.faults import Fault, fault
from monai_transfer.data.layout import escapes
from monai_transfer.data.splits import SPLITS


@dataclass(frozen=True)
class Entry:
    """One subject of a datalist.

    Args:
        place: where it is listed, as ``training[3]``.
        split: ``training``, ``validation``, ``test`` or another list of entries.
        subject: its id; without one, the first image without its ending.
        patient: its patient; without one, the subject.
        images: relative paths, without those that leave the data folder.
        stacked: whether one file is listed for all modalities.
        label: relative path; ``None`` without label.
    """

    place: str
    split: str
    subject: str
    patient: str
    images: tuple[str, ...]
    stacked: bool
    label: str | None


def read_entries(datalist: Mapping[str, Any]) -> tuple[list[Entry], list[Fault]]:
    """The entries that can be understood, and the faults of all others.

    Args:
        datalist: as read from any Decathlon ``dataset.json``.

    Returns:
        Entries in file order; faults G1xx.

    Example:
        >>> entries, faults = read_entries(
        ...     {
        ...         "modality": {"0": "flair"},
        ...         "labels": {"0": "background", "1": "lesion"},
        ...         "training": [{"image": "./imagesTr/ms_01.nii.gz"}],
        ...         "test": ["./imagesTs/ms_02.nii.gz"],
        ...     }
        ... )
        >>> [entry.subject for entry in entries]
        ['imagesTr/ms_01', 'imagesTs/ms_02']
        >>> [fault.code for fault in faults]
        ['G106']
    """
    faults = [*_table_faults(datalist)]
    channels = channel_count(datalist)
    entries = []
    splits = _splits(datalist)
    for split in splits:
        for index, raw in enumerate(datalist[split]):
            place = f"{split}[{index}]"
            entry, found = _read_entry(place, split, raw, channels)
            faults += found
            if entry is not None:
                entries.append(entry)
    if not any(datalist[split] for split in splits):
        faults.append(fault("G109", subject="datalist", file="lists", value="none"))
    return entries, faults


def channel_count(datalist: Mapping[str, Any]) -> int | None:
    """How many modalities are declared; ``None`` if that is not told as it must be.

    Example:
        >>> channel_count({"modality": {"0": "t1", "1": "flair"}})
        2
    """
    names = datalist.get("modality")
    if not isinstance(names, dict) or not names:
        return None
    in_order = set(names) == {str(i) for i in range(len(names))}
    distinct = all(isinstance(name, str) for name in names.values()) and (
        len(set(names.values())) == len(names)
    )
    return len(names) if in_order and distinct else None


def declared_labels(datalist: Mapping[str, Any]) -> frozenset[int] | None:
    """The label values that are declared; ``None`` if that is not told as it must be.

    Example:
        >>> sorted(declared_labels({"labels": {"0": "background", "4": "enhancing"}}))
        [0, 4]
    """
    names = datalist.get("labels")
    if not isinstance(names, dict) or not names:
        return None
    whole = all(re.fullmatch(r"0|[1-9][0-9]{0,8}", text) for text in names)
    return frozenset(map(int, names)) if whole else None


def _table_faults(datalist: Mapping[str, Any]) -> Iterator[Fault]:
    for key, code, table in (
        ("modality", "G102", channel_count(datalist)),
        ("labels", "G103", declared_labels(datalist)),
        ("training", "", 0),
    ):
        if key not in datalist:
            yield fault("G101", subject="datalist", file=f"key {key}", value="no such key")
        elif table is None:
            yield fault(code, subject="datalist", file=key, value=_short(datalist[key]))
    for split in SPLITS:
        if not isinstance(datalist.get(split, []), list):
            kind = type(datalist[split]).__name__
            yield fault("G104", subject="datalist", file=split, value=f"a JSON {kind}")
        count = f"num{split.capitalize()}"
        listed = datalist.get(split, [])
        if count in datalist and isinstance(listed, list) and datalist[count] != len(listed):
            got = f"{_short(datalist[count])} for {len(listed)}"
            yield fault("G112", subject="datalist", file=count, value=got)
    for key in ("name", "modality", "labels"):
        for text in expressions_in(datalist.get(key)):
            yield fault("G111", subject="datalist", file=key, value=_short(text))


def _splits(datalist: Mapping[str, Any]) -> list[str]:
    """Our three, and every other list of entries under whatever name: it is data all the same."""
    lists = [key for key, value in datalist.items() if isinstance(value, list)]
    return [key for key in lists if key in SPLITS or _lists_entries(datalist[key])]


def _lists_entries(items: Sequence[Any]) -> bool:
    return any(isinstance(item, dict) and "image" in item for item in items)


def _read_entry(
    place: str, split: str, raw: Any, channels: int | None
) -> tuple[Entry | None, list[Fault]]:
    if isinstance(raw, str) and split != "training":
        raw = {"image": raw}
    image = raw.get("image") if isinstance(raw, dict) else None
    listed = image if isinstance(image, list) else [image]
    images = [path for path in listed if _is_text(path)]
    if not images or len(images) < len(listed):
        return None, [fault("G105", subject=place, file="entry", value=_short(raw))]
    subject = _id(raw, "subject", default=_stem(images[0]))
    label = raw.get("label")
    broken = [
        ("G110", key, _short(raw[key]))
        for key in ("subject", "patient", "group")
        if not _is_text(raw.get(key, "absent"))
    ]
    if not _is_text(label) and (label is not None or split in ("training", "validation")):
        broken.append(("G106", "entry", "none" if label is None else _short(label)))
    if isinstance(image, list) and len(image) not in (1, channels or len(image)):
        broken.append(("G107", "image", f"{len(image)} images for {channels} modalities"))
    paths = [path for path in (*images, label) if _is_text(path)]
    times = Counter(posixpath.normpath(path) for path in paths)
    broken += [("G113", path, f"it {n} times") for path, n in times.items() if n > 1]
    broken += [("G111", "entry", _short(text)) for text in expressions_in(raw)]
    broken += [("G108", path, "a way out") for path in paths if escapes(path)]
    entry = Entry(
        place=place,
        split=split,
        subject=subject,
        patient=_id(raw, "patient", default=subject),
        images=tuple(path for path in images if not escapes(path)),
        stacked=len(images) == 1,
        label=label if _is_text(label) and not escapes(label) else None,
    )
    return entry, [fault(code, subject=subject, file=file, value=v) for code, file, v in broken]


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _id(raw: Mapping[str, Any], key: str, *, default: str) -> str:
    value = raw.get(key)
    return value if _is_text(value) else default


def _stem(path: str) -> str:
    return posixpath.normpath(path).removesuffix(".gz").removesuffix(".nii").removesuffix(".mha")


def _short(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}..."
