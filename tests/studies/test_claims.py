import math

import pytest
from rich.console import Console

from monai_transfer.studies import Interval, Verdict, answer, verdict_table


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([(0.1, 0.2)], "supported"),
        ([(-0.1, 0.2)], "undecided"),
        ([(-0.2, -0.1)], "not supported"),
        ([(0.1, 0.2), (-0.1, 0.2)], "undecided"),
        ([(0.1, 0.2), (-0.2, -0.1)], "not supported"),
        ([(math.nan, math.nan)], "undecided"),  # one subject
    ],
)
def test_an_answer_needs_the_whole_interval_on_one_side(ends: list, said: str):
    assert answer(*(Interval((low + high) / 2, low, high, 9) for low, high in ends)) == said


def test_the_table_shows_what_goes_against_the_paper_too():
    verdicts = [Verdict("G17.1", "it collapses", "not supported", "home 0.6, target 0.5")]
    console = Console(width=100)
    with console.capture() as shown:
        console.print(verdict_table(verdicts))
    for text in ("G17.1", "it collapses", "not supported", "home 0.6, target 0.5"):
        assert text in shown.get()
