"""Datalists: Decathlon ``dataset.json`` files, built from a manifest or anyone's."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from monai_transfer.data.faults import all_at_once
from monai_transfer.data.manifest import Manifest, Participants
from monai_transfer.data.splits import SPLITS, split_patients
from monai_transfer.data.strict_json import read_json, write_json
from monai_transfer.data.subjects import Subject, find_usable
from monai_transfer.errors import InputError


def build_datalist(
    manifest: Manifest,
    dataset_dir: str | os.PathLike[str],
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
    check_counts: bool = True,
    needed: Sequence[str] | None = None,
) -> dict[str, Any]:
    """List a data set's subjects, split as its paper did or as its table of participants tells.

    Args:
        manifest: the data set.
        dataset_dir: its folder; no trace of it is in the result.
        seed: of the split.
        validation: patients (``int``) or their share (``float``); ``None``: the manifest's. Where a
            table tells the sets there is nothing to ask for.
        test: likewise.
        check_counts: compare with the manifest's counts and its largest number of cases;
            ``False`` for a part of the data set.
        needed: modalities that every subject must have; of the others those are listed that every
            subject has. ``None``: all.

    Returns:
        A Decathlon datalist. Entries of ``training``, ``validation`` and ``test`` hold ``image``
        (paths relative to `dataset_dir` in the order of ``modality``), ``label``, ``subject``,
        ``patient`` and, with groups, ``group``.

    Raises:
        InputError: incomplete subjects, counts that are not the paper's, a split that does not fit,
            a set that is told by no table or asked for beside it.

    Source:
        Format: Medical Segmentation Decathlon (Antonelli 2022, doi:10.1038/s41467-022-30695-9); the
        keys validation, subject, patient, group and split are ours.

    Example:
        Of the real data set 169 cases are to train on, 50 choose the epoch, 66 test::

            manifest = read_manifest(manifest_path("brats2018"))
            build_datalist(manifest, "MICCAI_BraTS_2018_Data_Training")
    """
    names = tuple(manifest.modalities) if needed is None else needed
    manifest, subjects = find_usable(manifest, dataset_dir, needed=names)
    if check_counts:
        _check_counts(manifest, subjects)
    plan = manifest.split
    if plan.told is None:
        amounts = {
            "validation": plan.validation if validation is None else validation,
            "test": plan.test if test is None else test,
        }
        part_of = _drawn(subjects, amounts, seed=seed)
        made = {"recipe": plan.recipe, **amounts, "seed": seed}
    else:
        _refuse_amounts(manifest.name, plan.told, validation=validation, test=test)
        part_of = {subject.patient: str(subject.split) for subject in subjects}
        made = {"recipe": plan.recipe, **asdict(plan.told)}
    lists = {
        part: [_entry(subject) for subject in subjects if part_of[subject.patient] == part]
        for part in SPLITS
    }
    if check_counts and plan.cases and max(plan.cases) > len(lists["training"]):
        raise InputError(
            manifest.name,
            "training",
            f"hold {max(plan.cases)} cases or more",
            got=len(lists["training"]),
            todo="Hold out fewer for validation and test.",
        )
    return {
        "name": manifest.name,
        "description": manifest.description,
        "reference": manifest.citation,
        "licence": manifest.licence,
        "tensorImageSize": "3D",
        "modality": {str(i): name for i, name in enumerate(manifest.modalities)},
        "labels": {str(value): name for value, name in sorted(manifest.labels.items())},
        "split": made,
        **{f"num{part.capitalize()}": len(lists[part]) for part in SPLITS},
        **lists,
    }


def empty_splits(datalist: Mapping[str, Any]) -> list[str]:
    """A line for each split that is empty though nobody asked for that.

    A share is rounded and never raised to one: of so few patients, who is left to train on is not
    for a default to decide.

    Args:
        datalist: from :func:`build_datalist`, or of those of its subjects that could be prepared.

    Example:
        >>> listed = {
        ...     "training": [{"patient": "A"}, {"patient": "B"}],
        ...     "validation": [],
        ...     "test": [],
        ... }
        >>> empty_splits({**listed, "split": {"validation": 0.2, "test": 0.0}})
        ['validation: a share of 0.2 of 2 patients is rounded to 0. Ask for a number of patients.']
    """
    patients = len({entry["patient"] for split in SPLITS for entry in datalist[split]})
    reasons = {split: _why_empty(datalist["split"], split, patients) for split in SPLITS}
    return [f"{s}: {reason}" for s, reason in reasons.items() if reason and not datalist[s]]


def _why_empty(plan: Mapping[str, Any], split: str, patients: int) -> str:
    """Why nobody of so many patients is in a split; empty where that was asked for."""
    held_out = [plan.get("validation"), plan.get("test")]
    if "column" in plan and held_out == [None, None]:
        return f"the column {plan['column']} of {plan['file']} puts nobody there."
    if split == "training":
        if sum(share for share in held_out if isinstance(share, float)) >= 1:
            return ""
        return f"nobody of {patients} patients is left. Keep fewer for validation and test."
    asked = plan.get(split)
    if isinstance(asked, float) and asked and not round(asked * patients):
        rounded = f"a share of {asked} of {patients} patients is rounded to 0."
        return f"{rounded} Ask for a number of patients."
    return f"nobody is there; {asked} was asked for." if asked else ""


def write_datalist(datalist: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a datalist aside and rename it; raises InputError if the folder cannot be written."""
    write_json(datalist, path)


def read_datalist(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read any Decathlon ``dataset.json`` as strict JSON; `check_datalist` judges what is in it.

    Raises:
        InputError: not strict JSON: see `monai_transfer.data.strict_json.read_json`.
    """
    return read_json(path)


def _drawn(subjects: Sequence[Subject], amounts: Mapping[str, Any], *, seed: int) -> dict[str, str]:
    """The set that each patient is drawn into."""
    parts = split_patients(_groups_of_patients(subjects), **amounts, seed=seed)
    return {patient: part for part, patients in parts.items() for patient in patients}


def _refuse_amounts(where: str, told: Participants, **amounts: float | None) -> None:
    asked = {part: amount for part, amount in amounts.items() if amount is not None}
    if asked:
        raise InputError(
            where,
            " and ".join(asked),
            f"be left out: the column {told.column} of {told.file} tells the sets",
            got=" and ".join(map(str, asked.values())),
        )


def _groups_of_patients(subjects: Sequence[Subject]) -> dict[str, str]:
    """Patient → group; several groups (a tumour that progressed) make a stratum of their own."""
    groups: dict[str, set[str]] = {}
    for subject in subjects:
        groups.setdefault(subject.patient, set()).add(subject.group or "")
    return {patient: "+".join(sorted(names)) for patient, names in groups.items()}


def _entry(subject: Subject) -> dict[str, Any]:
    entry: dict[str, Any] = {"image": list(subject.images)}
    if subject.label is not None:
        entry["label"] = subject.label
    entry |= {"subject": subject.subject, "patient": subject.patient}
    return entry if subject.group is None else {**entry, "group": subject.group}


def _check_counts(manifest: Manifest, subjects: Sequence[Subject]) -> None:
    if manifest.counts is None:
        return
    found = Counter(subject.group for subject in subjects)
    expected = {"subjects": manifest.counts.subjects, **manifest.counts.groups}
    got = {"subjects": len(subjects), **{group: found[group] for group in manifest.counts.groups}}
    faults = [
        f"{name}: must be {number} as in the paper, got {got[name]}"
        for name, number in expected.items()
        if got[name] != number
    ]
    if faults:
        todo = "Complete the data set, or build without the check of counts."
        raise all_at_once(manifest.name, "counts", faults, todo=todo)
