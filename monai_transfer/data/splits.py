"""Splits by patient and nested training subsets, each with the groups of the whole.

Order comes from hashes of the ids, not from a random number generator: the result is the same on
every machine and version, whatever order the files were found in.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from typing import Any, TypeVar

from monai_transfer.errors import InputError

SPLITS = ("training", "validation", "test")
"""The sets."""

Entry = TypeVar("Entry", bound=Mapping[str, Any])


def stratified_order(ids: Sequence[str], groups: Sequence[str], *, seed: str) -> list[int]:
    """Shuffle so that EVERY prefix holds the groups in the proportion of the whole.

    Within a group the seed decides. The groups take turns by Tijdeman's rule: the count of a group
    among the first n differs from n times its share by at most 1 − 1/(2k−2) with k groups: by at
    most ½, which is exact rounding, with two.

    Args:
        ids: distinct names.
        groups: the group of each, in the same order.
        seed: any text; another one gives another order.

    Returns:
        Indices into `ids`.

    Source:
        R. Tijdeman, The chairman assignment problem, Discrete Math. 32 (1980) 323–330,
        doi:10.1016/0012-365X(80)90269-1. K19 keeps the HGG:LGG ratio, without saying how.

    Example:
        >>> order = stratified_order("abcdef", ["H", "H", "H", "H", "L", "L"], seed="0")
        >>> [sum(i < 4 for i in order[:n]) for n in (3, 6)]
        [2, 4]
    """
    shuffled = sorted(range(len(ids)), key=lambda i: sha256(f"{seed}/{ids[i]}".encode()).digest())
    queues = {group: iter([i for i in shuffled if groups[i] == group]) for group in set(groups)}
    return [next(queues[group]) for group in _turns(Counter(groups))]


def split_patients(
    patients: Mapping[str, str],
    *,
    validation: float,
    test: float,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Divide patients into training, validation and test, each with the groups of the whole.

    Args:
        patients: patient → group; one text for all if there are no groups.
        validation: an ``int`` counts patients, a ``float`` in 0–1 is their share, rounded
            (a half to the even number), of few patients perhaps to nobody.
        test: likewise.
        seed: another one gives another split.

    Returns:
        ``training``, ``validation`` and ``test`` → patients, ordered by name. Training takes what
        is left, perhaps nobody: a set only to be tested on is a split too.

    Raises:
        InputError: a negative number, a share above 1, or more patients than there are.

    Source:
        K19 holds out 50 of the training cases to choose the epoch; its test set was the challenge's
        validation set. How it drew them is not stated; ours.

    Example:
        >>> patients = {f"p{i}": "HGG" if i < 6 else "LGG" for i in range(9)}
        >>> parts = split_patients(patients, validation=3, test=0.33)
        >>> {part: len(names) for part, names in parts.items()}
        {'training': 3, 'validation': 3, 'test': 3}
    """
    held_out = {"test": test, "validation": validation}
    sizes = {part: _size(part, value, len(patients)) for part, value in held_out.items()}
    if sum(sizes.values()) > len(patients):
        raise InputError(
            "split",
            "validation and test",
            f"fit into {len(patients)} patients",
            got=f"{sizes['validation']} and {sizes['test']}",
            todo="Ask for fewer.",
        )
    parts: dict[str, list[str]] = {}
    left = list(patients)
    for part, size in sizes.items():
        order = stratified_order(left, [patients[p] for p in left], seed=f"{seed}/{part}")
        parts[part] = sorted(left[i] for i in order[:size])
        left = sorted(left[i] for i in order[size:])
    return {"training": left, "validation": parts["validation"], "test": parts["test"]}


def patient_folds(patients: Mapping[str, str], folds: int, *, seed: int = 0) -> list[list[str]]:
    """Divide patients into folds for cross-validation, each with the groups of the whole.

    Sizes differ by one at most; with two groups, so does a group's count from its share of a fold.

    Args:
        patients: patient → group; one text for all if there are no groups.
        folds: how many, at least 2.
        seed: another one gives other folds.

    Returns:
        The patients of each fold, ordered by name; together they are all, each once.

    Raises:
        InputError: fewer than 2 folds, or more than there are patients.

    Source:
        K19, section 3.3: four-fold cross-validation on each training set, 'the ratio of HGG to LGG
        is maintained across folds'. How they were drawn is not stated; ours.

    Example:
        >>> patients = {f"p{i}": "HGG" if i < 6 else "LGG" for i in range(8)}
        >>> [[patients[p] for p in fold].count("LGG") for fold in patient_folds(patients, 2)]
        [1, 1]
    """
    if not 2 <= folds <= len(patients):
        raise InputError(
            "cross-validation",
            "folds",
            f"be 2 to {len(patients)}, the number of patients to train on",
            got=folds,
        )
    names = sorted(patients)
    order = stratified_order(names, [patients[p] for p in names], seed=f"{seed}/folds")
    ends = [fold * len(names) // folds for fold in range(folds + 1)]
    return [sorted(names[i] for i in order[a:b]) for a, b in pairwise(ends)]


def nested_subset(
    entries: Sequence[Entry], cases: int, *, seed: int, groups: Sequence[str] | None = None
) -> list[Entry]:
    """The first `cases` of one stratified order, so that 20 ⊂ 50 ⊂ 100 ⊂ 150 for the same seed.

    Args:
        entries: of a datalist, in any order.
        cases: how many.
        seed: another one gives another repeat.
        groups: the group of each entry; ``None`` takes its ``group``, if it has one.

    Returns:
        The subset, in the stratified order: a smaller one is its beginning.

    Raises:
        InputError: fewer than 1 or more than there are.

    Source:
        K19, experiments on 20, 50, 100 and 150 cases with the HGG:LGG ratio kept; that they are
        nested is ours: it takes the luck of the draw out of the comparison of sizes.

    Example:
        >>> pool = [{"image": f"{i}.nii", "group": "HL"[i % 3 == 0]} for i in range(9)]
        >>> four, six = (nested_subset(pool, n, seed=1) for n in (4, 6))
        >>> four == six[:4]
        True
    """
    if not 1 <= cases <= len(entries):
        raise InputError(
            "split",
            "cases",
            f"be 1 to {len(entries)}, the size of the training pool",
            got=cases,
            todo="Ask for another number.",
        )
    if groups is None:
        groups = [str(entry.get("group", "")) for entry in entries]
    # the subject, since the paths may have been made absolute and differ between machines
    ids = [str(entry.get("subject", entry["image"])) for entry in entries]
    order = stratified_order(ids, groups, seed=f"{seed}/cases")
    return [entries[i] for i in order[:cases]]


def _turns(sizes: Mapping[str, int]) -> Iterator[str]:
    """Which group is next, by Tijdeman's rule in whole numbers."""
    total, slack = sum(sizes.values()), 2 * max(1, len(sizes) - 1)
    given = dict.fromkeys(sorted(sizes), 0)
    for turn in range(1, total + 1):
        # behind / (slack·total) is how far a group is behind its share once this turn is counted
        behind = {g: slack * (turn * sizes[g] - total * given[g]) for g in given}
        due = [g for g in given if behind[g] >= total]
        group = min(due, key=lambda g: Fraction((slack - 1) * total - behind[g], sizes[g]))
        given[group] += 1
        yield group


def _size(part: str, value: float, patients: int) -> int:
    share = isinstance(value, float)
    if value < 0 or (share and not value <= 1):
        raise InputError(
            "split", part, "be a number of patients, or a share from 0.0 to 1.0", got=value
        )
    return round(value * patients) if share else int(value)
