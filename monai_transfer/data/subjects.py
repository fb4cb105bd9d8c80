"""The subjects of a data set, found by its manifest's layout."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from monai_transfer.data.faults import all_at_once
from monai_transfer.data.layout import pattern_glob, pattern_regex
from monai_transfer.data.manifest import Manifest, Participants
from monai_transfer.data.participants import read_participants
from monai_transfer.data.splits import SPLITS
from monai_transfer.errors import InputError


@dataclass(frozen=True, order=True)
class Subject:
    """One scan session with all its files.

    Args:
        subject: id, once in a data set; of a data set with sessions ``<subject>_<session>``.
        patient: whose scan it is.
        group: stratum; ``None`` without groups.
        images: paths relative to the data folder, in the manifest's modality order.
        label: likewise; ``None`` for data without labels.
        split: the set that a table of participants tells; ``None`` where the patients are drawn.
    """

    subject: str
    patient: str
    group: str | None
    images: tuple[str, ...]
    label: str | None
    split: str | None = None


def find_subjects(manifest: Manifest, dataset_dir: str | os.PathLike[str]) -> list[Subject]:
    """Find every subject that has at least one image, and require that it has them all.

    Folders and files that do not fit the layout are passed over, hidden ones too.

    Args:
        manifest: the data set.
        dataset_dir: folder that the layout starts from.

    Returns:
        Complete subjects, ordered by id.

    Raises:
        InputError: no such folder, no subject in it; or every missing file, every subject in two
            groups or none, every file that is there twice, every id without a patient, every
            subject without a set and patient in two, one per line; or no table of participants
            where one tells groups or sets.

    Source:
        Ours.

    Example:
        >>> from monai_transfer.data.manifest import manifest_path, read_manifest
        >>> find_subjects(read_manifest(manifest_path("brats2018")), "no/such/folder")
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: brats2018: data folder must exist, got no/such/folder.
    """
    return find_usable(manifest, dataset_dir, needed=tuple(manifest.modalities))[1]


def find_usable(
    manifest: Manifest, dataset_dir: str | os.PathLike[str], *, needed: Sequence[str]
) -> tuple[Manifest, list[Subject]]:
    """Find every subject, where not all of a data set's modalities are needed.

    Args:
        manifest: the data set.
        dataset_dir: folder that the layout starts from.
        needed: modalities that every subject must have.

    Returns:
        The manifest with those modalities, and with the others that every subject has; and the
        subjects with their images.

    Raises:
        InputError: see :func:`find_subjects`; of the other modalities nothing is missed.
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(manifest.name, "data folder", "exist", got=root.as_posix())
    found = _files(manifest, root, manifest.layout, next(iter(manifest.modalities)))
    if not found:
        raise InputError(
            manifest.name,
            "data folder",
            f"hold images named {manifest.layout}",
            got=f"none in {root.as_posix()}",
            todo=f"Is it the right folder? How to obtain the data: {manifest.how_to_obtain}",
        )
    manifest = _narrowed(manifest, found, needed)
    labels = {} if manifest.label is None else _files(manifest, root, manifest.label, _LABEL)
    groups = _told(manifest.participants, root)
    sets = _told(manifest.split.told, root)
    faults = [*_faults(manifest, found, labels, groups)]
    faults += [] if sets is None else _set_faults(manifest, found, sets)
    if faults:
        raise all_at_once(manifest.name, "subjects", faults)
    return manifest, sorted(
        Subject(
            subject=visit.id,
            patient=manifest.patient_of(visit.subject),
            group=visit.group if groups is None else groups[visit.subject],
            images=tuple(files[name][0] for name in manifest.modalities),
            label=None if manifest.label is None else labels[visit][_LABEL][0],
            split=None if sets is None else sets[visit.subject],
        )
        for visit, files in found.items()
    )


def _narrowed(manifest: Manifest, found: "_Found", needed: Sequence[str]) -> Manifest:
    """The manifest without the modalities that somebody lacks and nobody needs."""
    asked = {name.lower() for name in needed}
    kept = {
        name: token
        for name, token in manifest.modalities.items()
        if name.lower() in asked or all(len(files.get(name, ())) == 1 for files in found.values())
    }
    return replace(manifest, modalities=kept)


class _Visit(NamedTuple):
    """The texts of a layout's fields that tell one scan session from another."""

    group: str | None
    subject: str
    session: str | None

    @property
    def id(self) -> str:
        return self.subject if self.session is None else f"{self.subject}_{self.session}"


_Found = Mapping[_Visit, Mapping[str, Sequence[str]]]
_LABEL = "label"


def _files(manifest: Manifest, root: Path, pattern: str, default: str) -> _Found:
    """Visit → modality, or `default` where the pattern has none → relative paths, in order."""
    names = {token: name for name, token in manifest.modalities.items()}
    choices = {"group": manifest.groups, "modality": tuple(names)}
    regex = pattern_regex(pattern, choices)
    found: dict[_Visit, dict[str, list[str]]] = {}
    for file in sorted(root.glob(pattern_glob(pattern))):
        path = file.relative_to(root).as_posix()
        fields = regex.fullmatch(path)
        if fields is None:
            continue
        texts = fields.groupdict()
        visit = _Visit(texts.get("group"), texts["subject"], texts.get("session"))
        name = names[texts["modality"]] if "modality" in texts else default
        found.setdefault(visit, {}).setdefault(name, []).append(path)
    return found


def _told(table: Participants | None, root: Path) -> Mapping[str, str] | None:
    """What a table tells of each participant; ``None`` where there is no such table."""
    return None if table is None else read_participants(root / table.file, table.column)


def _faults(
    manifest: Manifest, found: _Found, labels: _Found, groups: Mapping[str, str] | None
) -> Iterator[str]:
    ids = Counter(visit.id for visit in found)
    for subject in sorted(subject for subject, times in ids.items() if times > 1):
        twins = ", ".join(sorted(str(visit.group) for visit in found if visit.id == subject))
        yield f"{subject}: must be in one group, got {twins}"
    for visit, files in sorted(found.items(), key=lambda item: item[0].id):
        for name, token in manifest.modalities.items():
            yield from _file_faults(manifest.layout, visit, name, token, files.get(name, ()))
        try:
            manifest.patient_of(visit.subject)
        except InputError as fault:
            yield f"{visit.id}: id must {fault.rule}, the patient rule"
        if manifest.label is not None:
            mine = labels.get(visit, {}).get(_LABEL, ())
            yield from _file_faults(manifest.label, visit, _LABEL, "", mine)
        if groups is not None and groups.get(visit.subject) not in manifest.groups:
            options, got = ", ".join(manifest.groups), groups.get(visit.subject, "none")
            yield f"{visit.id}: group must be one of {options} in the participants, got {got}"


def _set_faults(manifest: Manifest, found: _Found, sets: Mapping[str, str]) -> Iterator[str]:
    """Subjects without a set, and patients with several."""
    of_patient: dict[str, set[str]] = {}
    for visit in sorted(found, key=lambda visit: visit.id):
        told = sets.get(visit.subject, "none")
        if told not in SPLITS:
            yield f"{visit.id}: set must be one of {', '.join(SPLITS)} in the table, got {told}"
        elif manifest.patient is None or re.fullmatch(manifest.patient, visit.subject):
            of_patient.setdefault(manifest.patient_of(visit.subject), set()).add(told)
    for patient, told_sets in of_patient.items():
        if len(told_sets) > 1:
            yield f"{patient}: patient must be in one set, got {', '.join(sorted(told_sets))}"


def _file_faults(
    pattern: str, visit: _Visit, name: str, token: str, files: Sequence[str]
) -> Iterator[str]:
    if not files:
        path = pattern.format(**visit._asdict(), modality=token)
        yield f"{visit.id}: {name} is missing, no file {path}"
    elif len(files) > 1:
        yield f"{visit.id}: {name} must be one file, got {', '.join(files)}"
