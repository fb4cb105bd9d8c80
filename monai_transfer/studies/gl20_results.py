"""What the study of modalities found: tables, the matrix of transfers, the verdicts."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.table import Table

from monai_transfer._files import written_aside
from monai_transfer.metrics import write_csv
from monai_transfer.studies.claims import Verdict
from monai_transfer.studies.gl20_claims import (
    ALL,
    BASE,
    FROM,
    FULL,
    MODALITIES,
    SEG,
    UNTUNED,
    at,
    base_of,
    by_subject,
    gain,
    gains,
    verdicts,
)
from monai_transfer.studies.gl20_published import PAPER, Place, published
from monai_transfer.training.pictures import heatmap

SCORES: Final = ("dice", "precision", "sensitivity")
"""Of a volume, as the paper reports them."""

NEGATIVE: Final = "NEGATIVE TRANSFER"
_OWN: Final = "own base"
_UNCLEAR: Final = "no clear difference"
_COLOURS: Final = {"gain": "green", NEGATIVE: "bold red"}


@dataclass(frozen=True)
class GL20Results:
    """What the study found.

    Both tables have the columns ``kind`` (a model of all modalities, ``base``, ``untuned``,
    ``full``, ``seg``), ``source`` (modality that was trained on first), ``modality`` (that is
    scored; ``all``: all four) and ``seed``.

    Args:
        scores: a row for each test subject of each run that came to its end: ``subject``, ``dice``,
            ``precision``, ``sensitivity`` of its volume.
        runs: a row for each run: whether it ``collapsed``, its ``epochs``, its best ``validation``
            Dice and by how much that moved from one validation to the next, ``unsteadiness``; NaN
            of an evaluation.
    """

    scores: pd.DataFrame
    runs: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write the tables, the verdicts and the matrix."""
        tables = {"scores": self.scores, "runs": self.runs, "matrix": self.matrix()}
        for name, frame in {**tables, "gains": gains(self.scores, self.runs)}.items():
            write_csv(frame, folder / f"{name}.csv")
        with written_aside(folder / "claims.json") as aside:
            said = [verdict.as_dict() for verdict in self.verdicts()]
            aside.write_text(json.dumps(said, indent=2) + "\n", "utf-8")
        self._draw(folder / "matrix.png")

    def verdicts(self) -> list[Verdict]:
        """The paper's claims, GL20.1a to GL20.4, held against these runs."""
        return verdicts(self.scores, self.runs)

    def matrix(self) -> pd.DataFrame:
        """Every start on every modality, against the model that was trained there from scratch.

        Returns:
            A row for each: ``start`` (in words), ``kind``, ``source``, ``modality``, ``dice`` and
            ``sd`` over seeds, how many of the ``runs`` ``collapsed``, the ``gain`` over the base
            model of the modality with its interval (``low``, ``high``), the ``verdict`` on it, and
            what is ``published``.
        """
        rows = [
            self._cell(start, place)
            for start, source, kind in _starts()
            for modality in MODALITIES
            if (place := _place(kind, source, modality)) is not None
        ]
        return pd.DataFrame(rows)

    def models_table(self) -> Table:
        """For the terminal: the models of all four modalities."""
        table = Table(title="All four modalities, test subjects; ± SD over seeds")
        for heading in ("model", *(score.capitalize() for score in SCORES), "collapsed", "paper"):
            table.add_column(heading, justify="left" if heading == "model" else "right")
        here = self.runs["modality"] == ALL
        for kind in self.runs.loc[here, "kind"].unique():
            place = (kind, ALL, ALL)
            scores = (_number(*self._mean_and_sd(place, score)) for score in SCORES)
            ended = self.runs.loc[here & (self.runs["kind"] == kind), "collapsed"]
            paper = PAPER.get(place)
            told = published(place)
            if paper is not None:
                told += "\n" + " / ".join(f"{paper[score]:.3f}" for score in SCORES)
            table.add_row(kind, *scores, f"{ended.sum()} of {len(ended)}", told)
        return table

    def table(self) -> Table:
        """For the terminal: every start on every modality."""
        title = "Dice on test subjects, ± SD over seeds; below: against the modality's own base"
        table = Table(title=title)
        table.add_column("start", no_wrap=True)
        for modality in MODALITIES:
            table.add_column(modality, justify="right")
        matrix = self.matrix()
        for start, _, _ in _starts():
            cells = matrix[matrix["start"] == start].set_index("modality").to_dict("index")
            told = (_told(cells[name]) if name in cells else "" for name in MODALITIES)
            table.add_row(start, *told, end_section=True)
        return table

    def _cell(self, start: str, place: Place) -> dict[str, Any]:
        kind, source, modality = place
        mean, sd = self._mean_and_sd(place, "dice")
        found = gain(self.scores, place, than=base_of(modality))
        row: dict[str, Any] = {"start": start, "kind": kind, "source": source, "modality": modality}
        row |= {"dice": mean, "sd": sd, "gain": math.nan, "low": math.nan, "high": math.nan}
        ended = at(self.runs, place)["collapsed"]
        row |= {"runs": len(ended), "collapsed": int(ended.sum())}
        verdict = _OWN if kind == BASE else ""
        if len(ended) and ended.all():
            verdict = "collapsed"
        if found is not None and kind != BASE:
            row |= {"gain": found.mean, "low": found.low, "high": found.high}
            verdict = NEGATIVE if found.high < 0 else "gain" if found.low > 0 else _UNCLEAR
        return row | {"verdict": verdict, "published": published(place)}

    def _mean_and_sd(self, place: Place, score: str) -> tuple[float, float]:
        """Over seeds, of the mean over test subjects."""
        means = at(self.scores, place).groupby("seed")[score].mean()
        return float(by_subject(self.scores, place, score).mean()), float(means.std())

    def _draw(self, path: Path) -> None:
        matrix = self.matrix()
        order = list(dict.fromkeys(matrix["start"]))
        dice, notes = (
            matrix.assign(note=matrix.apply(_note, axis=1))
            .pivot(index="start", columns="modality", values=value)
            .reindex(index=order, columns=list(MODALITIES))
            for value in ("dice", "note")
        )
        dice.index.name, dice.columns.name = "", "scored on"
        title = "Each model on each modality, against that modality's own base"
        heatmap(dice, path, score="Dice", notes=notes.fillna(""), title=title)


def _starts() -> list[tuple[str, str, str]]:
    """Rows of the matrix: in words, modality of the source, kind."""
    untuned = [(f"{name}, as it is", name, UNTUNED) for name in MODALITIES]
    return [*untuned, (f"{FROM}, then Full", FROM, FULL), (f"{FROM}, then Seg", FROM, SEG)]


def _place(kind: str, source: str, modality: str) -> Place | None:
    """What is in a cell of the matrix; nothing where a model would be tuned on what it knows."""
    if source == modality:
        return base_of(modality) if kind == UNTUNED else None
    return (kind, source, modality)


def _number(mean: float, sd: float) -> str:
    if math.isnan(mean):
        return "n/a"
    return f"{mean:.3f}" if math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def _told(cell: dict[str, Any]) -> str:
    """A cell of the table: Dice, what it is against the base, what is published."""
    lost = f"{cell['collapsed']} of {cell['runs']} collapsed" if cell["collapsed"] else ""
    lines = [_number(cell["dice"], cell["sd"]), cell["verdict"], lost, cell["published"]]
    if not math.isnan(cell["gain"]):
        colour = _COLOURS.get(cell["verdict"])
        told = f"{cell['gain']:+.3f} {cell['verdict']}"
        lines[1] = f"[{colour}]{told}[/]" if colour else told
    return "\n".join(filter(None, lines))


def _note(cell: "pd.Series[Any]") -> str:
    """A cell of the picture, below its Dice."""
    verdict = "\n".join(str(cell["verdict"]).rsplit(" ", 1))
    return verdict if math.isnan(cell["gain"]) else f"{cell['gain']:+.3f}\n{verdict}"
