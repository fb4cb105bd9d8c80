"""Manifests: what a data set is, where its files lie and how its paper split it, as JSON."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from monai_transfer.data import manifest_rules
from monai_transfer.data.faults import all_at_once
from monai_transfer.data.strict_json import read_json
from monai_transfer.errors import InputError, choice


@dataclass(frozen=True)
class Counts:
    """How many subjects the paper reports.

    Args:
        subjects: in all.
        groups: per group; empty without groups.
    """

    subjects: int
    groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Participants:
    """A table of the participants that tells their groups or sets, as BIDS has it.

    Args:
        file: relative path of a tab-separated table with the column ``participant_id``, the text of
            the layout's ``{subject}``.
        column: the column that holds the group or set.
    """

    file: str
    column: str


@dataclass(frozen=True)
class Split:
    """How the patients are divided.

    Args:
        recipe: ``stratified``: by patient, each part with the groups of the whole
            (`monai_transfer.data.splits`); ``participants``: as a table tells.
        validation: patients that choose the epoch; a whole number counts them, a fraction (a number
            with a point, 0.0 to 1.0) is their share; ``None`` where a table tells.
        test: patients kept for the result, likewise.
        cases: sizes of the nested training subsets, rising; empty if there are none.
        source: the paper, and what of this is ours.
        told: the table whose column holds ``training``, ``validation`` or ``test``; ``None``: the
            patients are drawn.
    """

    recipe: str
    validation: int | float | None
    test: int | float | None
    cases: tuple[int, ...]
    source: str
    told: Participants | None = None


@dataclass(frozen=True)
class Submission:
    """What a challenge's portal takes.

    Args:
        file: name of a subject's segmentation, with the field ``{subject}``.
        shape: voxels along each axis of the file.
    """

    file: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Manifest:
    """A data set, as read from ``data_manifests/<name>.json``.

    Args:
        name: the file's name without ``.json``, by convention.
        description: one sentence.
        layout: relative path of an image with the fields ``{subject}``, ``{modality}`` (unless
            there is one modality only) and, with groups that `participants` does not tell,
            ``{group}``. With the field ``{session}`` every visit is a subject of its own,
            ``<subject>_<session>``, of the same patient. ``*`` stands for any text in a name.
        modalities: our name → its text in file names, in channel order.
        label: relative path of the label, likewise, perhaps below another folder such as
            ``derivatives``; ``None`` for data without labels.
        labels: value → name, 0 among them.
        groups: strata such as HGG and LGG; empty if there are none.
        patient: regular expression whose first group is the patient in the text of ``{subject}``
            (scans of one patient share it); ``None``: that text is the patient.
        licence: name and address of the terms.
        citation: what to cite.
        how_to_obtain: where the data come from.
        counts: the paper's counts; ``None``: not checked.
        split: the paper's split.
        participants: where the groups are told; ``None``: the layout's ``{group}`` does.
        submission: what the challenge's portal takes; ``None``: there is none.
    """

    name: str
    description: str
    layout: str
    modalities: Mapping[str, str]
    label: str | None
    labels: Mapping[int, str]
    groups: tuple[str, ...]
    patient: str | None
    licence: str
    citation: str
    how_to_obtain: str
    counts: Counts | None
    split: Split
    participants: Participants | None = None
    submission: Submission | None = None

    def images_alone(self) -> "Manifest":
        """The same data set to segment: no label, and no table of participants, is asked for."""
        split = replace(self.split, told=None)
        return replace(self, label=None, participants=None, split=split)

    def patient_of(self, subject: str) -> str:
        """The patient whose scan a subject is.

        Args:
            subject: text of the layout's ``{subject}``.

        Returns:
            First group of the patient rule, or the text itself without a rule.

        Raises:
            InputError: the rule does not match the whole text.

        Example:
            >>> read_manifest(manifest_path("brats2018")).patient_of("Brats18_TCIA01_131_1")
            'Brats18_TCIA01_131'
        """
        if self.patient is None:
            return subject
        found = re.fullmatch(self.patient, subject)
        if found is None:
            raise InputError(self.name, "subject", f"match {self.patient}", got=subject)
        return str(found[1])


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check a manifest.

    Args:
        path: JSON file.

    Returns:
        The manifest.

    Raises:
        InputError: not strict JSON; or every unknown, missing or wrong key, one per line.

    Source:
        Ours.

    Example:
        >>> manifest = read_manifest(manifest_path("brats2018"))
        >>> dict(manifest.modalities)
        {'t1': 't1', 't1c': 't1ce', 't2': 't2', 'flair': 'flair'}
        >>> manifest.counts.groups["HGG"], manifest.split.cases
        (210, (20, 50, 100, 150))
    """
    path = Path(path)
    raw = read_json(path)
    faults = manifest_rules.key_faults(raw) or manifest_rules.cross_faults(raw)
    if faults:
        raise all_at_once(path.name, "manifest", faults)
    counts, participants = raw["counts"], raw.get("participants")
    return Manifest(
        **{key: raw[key] for key in _PLAIN},
        labels={int(value): name for value, name in raw["labels"].items()},
        groups=tuple(raw.get("groups", ())),
        patient=raw.get("patient"),
        counts=None if counts is None else Counts(**counts),
        split=_split(raw["split"]),
        participants=None if participants is None else Participants(**participants),
        submission=_submission(raw.get("submission")),
    )


def manifest_names() -> list[str]:
    """Names of the manifests that come with the package.

    Example:
        >>> "openms2017" in manifest_names()
        True
    """
    return sorted(path.stem for path in _folder().glob("*.json"))


def manifest_path(name: str) -> Path:
    """Where a manifest lies: one that comes with the package, or a user's own.

    Args:
        name: one of `manifest_names`; or a path that ends in ``.json``, which is taken as it is.

    Raises:
        InputError: no such name, with the closest ones.

    Example:
        >>> manifest_path("brats2018").name
        'brats2018.json'
    """
    if name.endswith(".json"):
        return Path(name)
    names = manifest_names()
    if name not in names:
        raise choice("data_manifests", "name", name, names)
    return _folder() / f"{name}.json"


_PLAIN = (
    "name", "description", "layout", "modalities", "label", "licence", "citation", "how_to_obtain",
)  # fmt: skip


def _split(raw: Mapping[str, Any]) -> Split:
    told = raw["recipe"] == manifest_rules.TOLD
    return Split(
        recipe=raw["recipe"],
        validation=raw.get("validation"),
        test=raw.get("test"),
        cases=tuple(raw.get("cases", ())),
        source=raw["source"],
        told=Participants(raw["file"], raw["column"]) if told else None,
    )


def _submission(raw: Mapping[str, Any] | None) -> Submission | None:
    return None if raw is None else Submission(raw["file"], tuple(raw["shape"]))


def _folder() -> Path:
    package = Path(__file__).parents[1]
    installed = package / "data_manifests"
    return installed if installed.is_dir() else package.parent / "data_manifests"
