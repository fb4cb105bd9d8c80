"""Datalists for cross-validation inside a training set."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_transfer.bundle import Cohort
from monai_transfer.data import patient_folds, write_datalist
from monai_transfer.data.splits import SPLITS
from monai_transfer.errors import InputError


def write_folds(
    cohort: Cohort,
    folder: str | os.PathLike[str],
    *,
    folds: int,
    cases: int | None = None,
    seed: int = 0,
) -> list[Path]:
    """Write a datalist for each fold of a cohort's training cases.

    Args:
        cohort: its validation and test subjects are in none of the datalists.
        folder: gets ``fold-1.json``, ``fold-2.json`` …
        folds: how many.
        cases: training cases that are divided, those a training with this number takes; ``None``:
            all.
        seed: of the cases and of the folds.

    Returns:
        The datalists: training is the other folds, validation the held-out one, test empty.

    Raises:
        InputError: more cases than there are, or more folds than patients among them.
    """
    if cohort.folder is None:
        raise InputError("cross-validation", "data", "be a data set", got=cohort.name)
    place = {entry["subject"]: index for index, entry in enumerate(cohort.lists["training"])}
    listed = cohort.datalist["training"]
    chosen = [
        (_patient(entry), str(entry.get("group", "")), listed[place[entry["subject"]]])
        for entry in cohort.training(cases, seed)
    ]
    groups = {patient: group for patient, group, _ in chosen}
    paths = []
    for number, held_out in enumerate(patient_folds(groups, folds, seed=seed), start=1):
        inside = [entry for patient, _, entry in chosen if patient in held_out]
        outside = [entry for patient, _, entry in chosen if patient not in held_out]
        recipe = {"recipe": f"fold {number} of {folds}", "cases": len(chosen), "seed": seed}
        path = Path(folder) / f"fold-{number}.json"
        write_datalist(_datalist(cohort.datalist, (outside, inside, []), recipe), path)
        paths.append(path)
    return paths


def _patient(entry: Mapping[str, Any]) -> str:
    return str(entry.get("patient", entry["subject"]))


def _datalist(
    whole: Mapping[str, Any], parts: Sequence[Sequence[Any]], recipe: Mapping[str, Any]
) -> dict[str, Any]:
    """A datalist with other entries; lists under other names are left behind."""
    about = {key: value for key, value in whole.items() if not isinstance(value, list)}
    lists = {name: list(entries) for name, entries in zip(SPLITS, parts, strict=True)}
    counts = {f"num{name.capitalize()}": len(entries) for name, entries in lists.items()}
    return {**about, "split": dict(recipe), **counts, **lists}
