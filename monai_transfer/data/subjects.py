"""The subjects of a data set, found by its manifest's layout."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monai_transfer.data.faults import all_at_once
from monai_transfer.data.layout import pattern_glob, pattern_regex
from monai_transfer.data.manifest import Manifest
from monai_transfer.errors import InputError


@dataclass(frozen=True, order=True)
class Subject:
    """One scan session with all its files.

    Args:
        subject: id, once in a data set.
        patient: whose scan it is.
        group: stratum; ``None`` without groups.
        images: paths relative to the data folder, in the manifest's modality order.
        label: likewise; ``None`` for data without labels.
    """

    subject: str
    patient: str
    group: str | None
    images: tuple[str, ...]
    label: str | None


def find_subjects(manifest: Manifest, dataset_dir: str | os.PathLike[str]) -> list[Subject]:
    """Find every subject that has at least one image.

    Folders and files that do not fit the layout are passed over, hidden ones too.

    Args:
        manifest: the data set.
        dataset_dir: folder that the layout starts from.

    Returns:
        Complete subjects, ordered by id.

    Raises:
        InputError: no such folder, no subject in it; or every missing file, every subject in two
            groups and every id without a patient, one per line.

    Source:
        Ours.

    Example:
        >>> from monai_transfer.data.manifest import manifest_path, read_manifest
        >>> find_subjects(read_manifest(manifest_path("brats2018")), "no/such/folder")
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: brats2018: data folder must exist, got no/such/folder. \
Check --dataset-dir.
    """
    root = Path(dataset_dir)
    if not root.is_dir():
        raise InputError(
            manifest.name,
            "data folder",
            "exist",
            got=root.as_posix(),
            todo="Check --dataset-dir.",
        )
    found = _images(manifest, root)
    if not found:
        raise InputError(
            manifest.name,
            "data folder",
            f"hold images named {manifest.layout}",
            got=f"none in {root.as_posix()}",
            todo=f"Check --dataset-dir. How to obtain the data: {manifest.how_to_obtain}",
        )
    faults = [*_faults(manifest, root, found)]
    if faults:
        raise all_at_once(manifest.name, "subjects", faults)
    return sorted(
        Subject(
            subject=subject,
            patient=manifest.patient_of(subject),
            group=group,
            images=tuple(images[name] for name in manifest.modalities),
            label=_label(manifest, group, subject),
        )
        for (group, subject), images in found.items()
    )


_Found = Mapping[tuple[str | None, str], Mapping[str, str]]


def _images(manifest: Manifest, root: Path) -> _Found:
    """(group, subject) → modality → relative path."""
    names = {token: name for name, token in manifest.modalities.items()}
    choices = {"group": manifest.groups, "modality": tuple(names)}
    regex = pattern_regex(manifest.layout, choices)
    found: dict[tuple[str | None, str], dict[str, str]] = {}
    for file in root.glob(pattern_glob(manifest.layout)):
        path = file.relative_to(root).as_posix()
        fields = regex.fullmatch(path)
        if fields is None:
            continue
        texts = fields.groupdict()
        key = (texts.get("group"), texts["subject"])
        token = texts.get("modality", next(iter(names)))
        found.setdefault(key, {})[names[token]] = path
    return found


def _faults(manifest: Manifest, root: Path, found: _Found) -> Iterator[str]:
    for subject, times in sorted(Counter(subject for _, subject in found).items()):
        if times > 1:
            groups = ", ".join(sorted(str(group) for group, other in found if other == subject))
            yield f"{subject}: must be in one group, got {groups}"
    for (group, subject), images in sorted(found.items(), key=lambda item: item[0][1]):
        for name, token in manifest.modalities.items():
            if name not in images:
                path = manifest.layout.format(group=group, subject=subject, modality=token)
                yield f"{subject}: {name} is missing, no file {path}"
        try:
            manifest.patient_of(subject)
        except InputError as fault:
            yield f"{subject}: id must {fault.rule}, the patient rule"
        label = _label(manifest, group, subject)
        if label is not None and not (root / label).is_file():
            yield f"{subject}: label is missing, no file {label}"


def _label(manifest: Manifest, group: str | None, subject: str) -> str | None:
    return None if manifest.label is None else manifest.label.format(group=group, subject=subject)
