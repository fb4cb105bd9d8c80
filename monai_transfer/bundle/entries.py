"""Entries of a datalist as the loader takes them: absolute paths, channels in the asked order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from monai_transfer.errors import InputError

Entry = dict[str, Any]


def located_lists(
    content: Mapping[str, Any], folder: Path, modalities: Sequence[str]
) -> dict[str, list[Entry]]:
    """Entries of a checked datalist, ready for the loader.

    Args:
        content: the datalist.
        folder: its paths are relative to it.
        modalities: channels the network expects, in its order.

    Returns:
        ``training``, ``validation`` and ``test`` entries, each with absolute paths, ``image`` as
        one path per modality or one 4D file, and a ``subject`` that can be a file name.

    Raises:
        InputError: a modality is not in the data set, or a 4D file has others or another order.
    """
    given = _modalities(content, modalities)
    raw = {
        key: [_as_mapping(entry) for entry in content.get(key, [])]
        for key in ("training", "validation", "test")
    }
    _name_subjects([entry for entries in raw.values() for entry in entries])
    return {
        key: [_located(entry, folder, given, modalities) for entry in entries]
        for key, entries in raw.items()
    }


def _modalities(content: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """The data set's modalities in the order of its images; all wanted ones are among them."""
    by_index = sorted(content["modality"].items(), key=lambda item: int(item[0]))
    given = [str(name).lower() for _, name in by_index]
    require_modalities(given, wanted)
    return given


def require_modalities(given: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a data set that lacks a modality.

    Args:
        given: the data set's.
        wanted: the network's.

    Raises:
        InputError: naming what is missing.
    """
    missing = [name for name in wanted if name not in given]
    if missing:
        rule = f"include {', '.join(wanted)}"
        got = f"{', '.join(given)}: no {', '.join(missing)}"
        todo = "Name them in the datalist; or fine-tune for those there are, with --modalities."
        raise InputError("datalist", "modality", rule, got=got, todo=todo)


def _as_mapping(entry: Any) -> Entry:
    """A copy of an entry; the format's bare path of a test image becomes a mapping."""
    return {"image": entry} if isinstance(entry, str) else dict(entry)


def _name_subjects(entries: Sequence[Entry]) -> None:
    """Give every entry a subject that can be a file name and that no other entry has.

    Where the datalist names none, it is the first image's name, with its folders if need be.
    """
    stems = [_stem(entry["image"]) for entry in entries]
    times = Counter(stem.name for stem in stems)
    for entry, stem in zip(entries, stems, strict=True):
        default = stem.name if times[stem.name] == 1 else "_".join(stem.parts)
        entry["subject"] = str(entry.get("subject", default)).replace("/", "_")


def _stem(image: Any) -> PurePosixPath:
    first = image if isinstance(image, str) else image[0]
    return PurePosixPath(first.removesuffix(".gz").removesuffix(".nii").removesuffix(".mha"))


def _located(entry: Entry, folder: Path, given: Sequence[str], modalities: Sequence[str]) -> Entry:
    """An entry with absolute paths, its images in the wanted order."""
    located = dict(entry)
    images = [entry["image"]] if isinstance(entry["image"], str) else entry["image"]
    if len(images) == len(given):
        chosen = [images[given.index(name)] for name in modalities]
        located["image"] = [str(folder / path) for path in chosen]
    elif list(given) == list(modalities):
        located["image"] = str(folder / images[0])
    else:
        rule = f"hold {', '.join(modalities)} in this order"
        todo = "List one file per modality instead."
        raise InputError(images[0], "4D image", rule, got=", ".join(given), todo=todo)
    if entry.get("label") is not None:
        located["label"] = str(folder / entry["label"])
    return located
