"""Who of a cohort is scanned when, and to which set each patient belongs."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

SESSIONS = ("baseline", "followup")
"""The scan sessions of the cohort of small vessel disease."""

_PATIENTS = {"training": 200, "validation": 30, "test": 50}
_FOLLOWED = {"training": 100, "validation": 26, "test": 33}

# Folders that several manifests describe: cohort → session.
_DESCRIBED: dict[str, dict[str, str | None]] = {
    "wmh": {f"wmh_{session}": session for session in SESSIONS},
    "tissue": {"tissue": None, "structures": None},
    "ms": {"ms": None, "ms_t1": None},
}
_RAW = ("ms", "brats", "wmh_baseline", "wmh_followup")


def split_of(index: int) -> str:
    """The set of the `index`-th patient, evenly mixed; one of each comes first.

    Source: Ghafoorian 2017, table 1: 200 patients to train on, 30 to validate, 50 to test.

    Example:
        >>> [split_of(i) for i in range(5)]
        ['training', 'validation', 'test', 'training', 'training']
    """
    order = _order()
    return order[index % len(order)]


def sessions_of(disease: str, index: int) -> tuple[str | None, ...]:
    """The sessions of a subject; one without a name where nobody comes twice.

    Source: Ghafoorian 2017, table 1: 100, 26 and 33 of its patients were rescanned.

    Example:
        >>> sessions_of("wmh", 0), sessions_of("ms", 0)
        (('baseline', 'followup'), (None,))
    """
    if disease != "wmh":
        return (None,)
    order = _order()
    at, split = index % len(order), split_of(index)
    rank, share = order[:at].count(split), _FOLLOWED[split] / _PATIENTS[split]
    followed = int((rank + 1) * share + 0.5) > int(rank * share + 0.5)
    return SESSIONS if followed else SESSIONS[:1]


def manifests_of(disease: str, *, raw: bool = False) -> list[str]:
    """Names of the manifests that describe a simulated cohort's folder.

    Example:
        >>> manifests_of("wmh"), manifests_of("ms", raw=True)
        (['simulated_wmh_baseline', 'simulated_wmh_followup'], ['simulated_ms_raw'])
        >>> manifests_of("tissue")
        ['simulated_tissue', 'simulated_structures']
    """
    described = _DESCRIBED.get(disease, {disease: None})
    if raw:
        return [f"simulated_{cohort}_raw" for cohort in described if cohort in _RAW]
    return [f"simulated_{cohort}" for cohort in described]


def folder_of(cohort: str) -> tuple[str, str | None]:
    """The disease whose folder a cohort is in, and its session.

    Args:
        cohort: a name in ``data_manifests``, without ``simulated_``.

    Example:
        >>> folder_of("wmh_baseline"), folder_of("structures"), folder_of("ms")
        (('wmh', 'baseline'), ('tissue', None), ('ms', None))
    """
    for disease, described in _DESCRIBED.items():
        if cohort in described:
            return disease, described[cohort]
    return cohort, None


def session_sources(
    key: np.random.SeedSequence, sessions: Iterable[str | None]
) -> dict[str | None, np.random.Generator]:
    """Session → its source of randomness, which does not depend on who comes to the other."""
    keys = dict(zip(SESSIONS, key.spawn(len(SESSIONS)), strict=True))
    return {name: np.random.default_rng(keys[str(name)]) for name in sessions}


def participants_table(subjects: dict[str, int]) -> str:
    """BIDS's ``participants.tsv`` with the set of each patient.

    Args:
        subjects: name → index.
    """
    rows = "".join(f"{name}\t{split_of(index)}\n" for name, index in subjects.items())
    return f"participant_id\tsplit\n{rows}"


@lru_cache(maxsize=1)
def _order() -> tuple[str, ...]:
    """The sets of as many patients as the paper has: who is most behind its share is next."""
    total = sum(_PATIENTS.values())
    order = list(_PATIENTS)
    while len(order) < total:
        turn = len(order) + 1
        order.append(max(_PATIENTS, key=lambda s: turn * _PATIENTS[s] - total * order.count(s)))
    return tuple(order)
