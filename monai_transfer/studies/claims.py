"""What a paper claims, and whether our runs support it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from rich.table import Table

from monai_transfer.studies.statistics import Interval

Answer: TypeAlias = Literal["supported", "not supported", "undecided"]

_COLOURS = {"supported": "green", "not supported": "red", "undecided": "yellow"}


@dataclass(frozen=True)
class Verdict:
    """A claim held against our own results.

    Args:
        claim: its id, such as ``G17.2``.
        text: what the paper says, with its numbers.
        answer: what our runs say of it.
        evidence: the numbers that the answer rests on, in one line.
    """

    claim: str
    text: str
    answer: Answer
    evidence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def answer(*gains: Interval) -> Answer:
    """What intervals say of gains that a claim expects to be above 0.

    Returns:
        ``supported`` when every interval lies above 0, ``not supported`` when one lies below,
        otherwise ``undecided``.

    Example:
        >>> answer(Interval(0.2, 0.1, 0.3, 9)), answer(Interval(0.2, -0.1, 0.5, 9))
        ('supported', 'undecided')
    """
    if any(gain.high < 0 for gain in gains):
        return "not supported"
    return "supported" if all(gain.low > 0 for gain in gains) else "undecided"


def verdict_table(verdicts: Iterable[Verdict]) -> Table:
    """The verdicts for the terminal."""
    table = Table(title="The paper's claims, held against these runs")
    for heading in ("claim", "paper", "here", "evidence"):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        style = _COLOURS[verdict.answer]
        said = f"[{style}]{verdict.answer}[/]"
        table.add_row(verdict.claim, verdict.text, said, verdict.evidence)
    return table
