"""What the study of modalities says of Giacomello 2020's claims."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pandas as pd

from monai_transfer.studies.claims import Answer, Verdict, answer
from monai_transfer.studies.gl20_published import Place
from monai_transfer.studies.gl20_stability import LEARNT, stability
from monai_transfer.studies.statistics import Interval, paired_difference

MODALITIES: Final = ("t1", "t1c", "t2", "flair")
ALL: Final = "all"
"""In the place of a modality: all four together."""

FROM: Final = "flair"
"""The modality whose model is transferred."""

BASE: Final = "base"
UNTUNED: Final = "untuned"
FULL: Final = "full"
SEG: Final = "seg"

_TARGETS: Final = tuple(name for name in MODALITIES if name != FROM)
_FIELDS: Final = ["mean", "low", "high", "n"]
_COLUMNS: Final = ["claim", "what", "score", *_FIELDS, "learnt"]

_CLAIMS: Final = {
    "GL20.1a": "SegAN-IO, whose critic sees image and mask side by side, beats SegAN in Dice "
    "(0.862 against 0.828) and sensitivity (0.836 against 0.765)",
    "GL20.1b": "without the Dice term training is unstable (the authors' files: Dice 0.704 against "
    "0.823 of SegAN with it)",
    "GL20.2": "FLAIR is the best single modality (the authors' files: 0.804; T2 0.744, T1c 0.582, "
    "T1 0.530)",
    "GL20.3": "from FLAIR, Seg (critic frozen) beats Full on every target (T1 0.606 against 0.510, "
    "T1c 0.600 against 0.594, T2 0.803 against 0.766)",
    "GL20.4": "transfer beats training from scratch on almost every target, here all but one (the "
    "authors' files: T1 0.570 against 0.530, T1c 0.546 against 0.582, T2 0.795 against 0.744)",
}
"""Claim → what the paper says, with its numbers."""


def base_of(modality: str) -> Place:
    """The place of the model that is trained on a modality from scratch.

    Example:
        >>> base_of("t1")
        ('base', 't1', 't1')
    """
    return (BASE, modality, modality)


def at(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Rows of a place.

    Args:
        table: with the columns ``kind``, ``source`` and ``modality``.
        place: one of each.
    """
    kind, source, modality = place
    here = (table["kind"] == kind) & (table["source"] == source)
    return table[here & (table["modality"] == modality)]


def by_subject(scores: pd.DataFrame, place: Place, score: str = "dice") -> "pd.Series[float]":
    """A score of each test subject, seeds averaged; empty where nothing came to its end.

    Args:
        scores: see :class:`~monai_transfer.studies.GL20Results`.
        place: kind, source, modality.
        score: column.
    """
    means: pd.Series[float] = at(scores, place).groupby("subject")[score].mean()
    return means


def gain(
    scores: pd.DataFrame, better: Place, *, than: Place, score: str = "dice"
) -> Interval | None:
    """Paired difference of two places; ``None`` where there is none.

    Args:
        scores: see :func:`by_subject`.
        better: place whose scores are expected to be higher.
        than: the other.
        score: column.
    """
    both = {name: by_subject(scores, p, score) for name, p in (("better", better), ("than", than))}
    if any(column.empty for column in both.values()):
        return None
    return paired_difference(pd.DataFrame(both), "better", than="than")


def chosen(runs: pd.DataFrame, modality: str) -> str:
    """What to tune of FLAIR's model on a modality, as the validation subjects say.

    Args:
        runs: see :class:`~monai_transfer.studies.GL20Results`.
        modality: the target.
    """
    here = (runs["source"] == FROM) & (runs["modality"] == modality) & ~runs["collapsed"]
    tuned = runs[here & runs["kind"].isin([FULL, SEG])]
    means = tuned.groupby("kind")["validation"].mean().dropna()
    return SEG if means.empty else str(means.idxmax())


def gains(scores: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """What the claims rest on: paired differences over test subjects, seeds averaged before.

    Args:
        scores: see :class:`~monai_transfer.studies.GL20Results`.
        runs: likewise.

    Returns:
        A row for each: ``claim``, ``what`` is compared, ``score``, the fields of
        :class:`~monai_transfer.studies.statistics.Interval` (NaN where one of the two was not run,
        or collapsed), and whether either had ``learnt`` anything.
    """
    rows = []
    for expected in _expected(runs):
        found = gain(scores, expected.better, than=expected.than, score=expected.score)
        both = (by_subject(scores, place).mean() for place in (expected.better, expected.than))
        row = asdict(found) if found else dict.fromkeys(_FIELDS[:3]) | {"n": 0}
        row |= {"claim": expected.claim, "what": expected.what, "score": expected.score}
        rows.append(row | {"learnt": any(dice >= LEARNT for dice in both)})
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(_FIELDS[:3], float))


def verdicts(scores: pd.DataFrame, runs: pd.DataFrame) -> list[Verdict]:
    """The paper's claims, GL20.1a to GL20.4, held against these runs.

    Args:
        scores: see :class:`~monai_transfer.studies.GL20Results`.
        runs: likewise.
    """
    table = gains(scores, runs)
    found = []
    for claim, text in _CLAIMS.items():
        if claim == "GL20.1b":
            said, evidence = stability(scores, runs)
        else:
            said, evidence = _judged(table[table["claim"] == claim], but_one=claim == "GL20.4")
        found.append(Verdict(claim, text, said, evidence))
    return found


@dataclass(frozen=True)
class _Expected:
    """That a claim expects one place to be better than another.

    Args:
        claim: its id.
        what: how evidence calls the two.
        better: kind, source, modality.
        than: likewise.
        score: in which.
    """

    claim: str
    what: str
    better: Place
    than: Place
    score: str = "dice"


def _expected(runs: pd.DataFrame) -> list[_Expected]:
    io, segan = (("segan-io", ALL, ALL), ("segan", ALL, ALL))
    pair = "segan-io minus segan"
    tuned = {name: chosen(runs, name) for name in _TARGETS}
    return [
        *(_Expected("GL20.1a", pair, io, segan, score) for score in ("dice", "sensitivity")),
        *(_Expected("GL20.2", f"{FROM} minus {m}", base_of(FROM), base_of(m)) for m in _TARGETS),
        *(
            _Expected("GL20.3", f"{m}, Seg minus Full", (SEG, FROM, m), (FULL, FROM, m))
            for m in _TARGETS
        ),
        *(
            _Expected("GL20.4", f"{m}, {kind.title()} minus scratch", (kind, FROM, m), base_of(m))
            for m, kind in tuned.items()
        ),
    ]


def _judged(rows: pd.DataFrame, *, but_one: bool) -> tuple[Answer, str]:
    """What paired differences say, and the line that tells them."""
    there = rows[rows["n"] > 0]
    told = [
        f"{row.what}{'' if row.score == 'dice' else f', {row.score}'} {_interval(row)}"
        for row in there.itertuples()
    ]
    lacking = list(dict.fromkeys(rows.loc[rows["n"] == 0, "what"]))
    unlearnt = list(dict.fromkeys(there.loc[~there["learnt"], "what"]))
    if lacking:
        told.insert(0, f"not run or collapsed: {', '.join(lacking)}")
    if unlearnt:
        told.insert(0, f"hardly anything was learnt: {', '.join(unlearnt)}")
    if lacking or unlearnt:
        return "undecided", "; ".join(told)
    intervals = [_interval(row) for row in there.itertuples()]
    said = _all_but_one(intervals) if but_one else answer(*intervals)
    return said, "; ".join(told)


def _interval(row: object) -> Interval:
    mean, low, high, n = (getattr(row, name) for name in _FIELDS)
    return Interval(mean, low, high, int(n))


def _all_but_one(found: Sequence[Interval]) -> Answer:
    """As :func:`~monai_transfer.studies.answer`, with one exception.

    Example:
        >>> up, down = Interval(0.2, 0.1, 0.3, 9), Interval(-0.2, -0.3, -0.1, 9)
        >>> _all_but_one([up, up, down]), _all_but_one([up, down, down])
        ('supported', 'not supported')
    """
    return answer(*sorted(found, key=lambda interval: interval.high)[1:])
