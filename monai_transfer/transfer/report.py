"""The transfer report: what became of every tensor, with totals."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

Action = Literal["loaded", "adapted", "reset", "re-estimated", "skipped"]

ACTIONS: tuple[Action, ...] = ("loaded", "adapted", "reset", "re-estimated", "skipped")


@dataclass(frozen=True)
class TensorRecord:
    """What became of one tensor of the network, or of one that only the source has.

    Args:
        name: state-dict key.
        part: part of the network; ``"source"`` for a tensor the network lacks.
        action: loaded as it is; adapted; reset (fresh initialisation); re-estimated (statistics
            of batch norm, on target scans); skipped (source only).
        reason: how it was adapted, or why it was reset or skipped.
        shape: sizes of the tensor.
        frozen: whether training must leave it bit-identical.
    """

    name: str
    part: str
    action: Action
    reason: str
    shape: tuple[int, ...]
    frozen: bool

    @property
    def values(self) -> int:
        """Number of values in the tensor."""
        product = 1
        for size in self.shape:
            product *= size
        return product


@dataclass(frozen=True)
class TransferReport:
    """Every tensor of a transfer, accounted for.

    Args:
        source: name of the source, ``None`` from scratch.
        source_sha256: digest of its weight file, ``None`` from scratch.
        strategy: the resolved strategy's fields.
        tensors: one record per tensor of the network, then those only the source has.
        notes: what was done to read the source.
        warnings: what may not have been meant.
    """

    source: str | None
    source_sha256: str | None
    strategy: dict[str, Any]
    tensors: tuple[TensorRecord, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def totals(self) -> dict[str, dict[str, int]]:
        """Tensors and values per action, and how many of them are frozen.

        The actions other than ``skipped`` add up to the network's state dict.
        """
        totals: dict[str, dict[str, int]] = {
            action: _count([r for r in self.tensors if r.action == action]) for action in ACTIONS
        }
        totals["frozen"] = _count([r for r in self.tensors if r.frozen])
        return totals

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        return {
            "source": self.source,
            "source_sha256": self.source_sha256,
            "strategy": self.strategy,
            "totals": self.totals(),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "tensors": [asdict(r) | {"shape": list(r.shape)} for r in self.tensors],
        }

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.as_dict(), indent=2)

    def table(self) -> Table:
        """One row per part and action, and warnings below, for the terminal."""
        source = self.source or "no source"
        title = f"Transfer: {source}, strategy {self.strategy['name']}"
        below = ["; ".join(self.notes), *(f"[bold yellow]{line}[/]" for line in self.warnings)]
        table = Table(title=title, caption="\n".join(filter(None, below)) or None)
        for heading in ("part", "tensors", "values", "what happened", "trained"):
            table.add_column(
                heading, justify="right" if heading in ("tensors", "values") else "left"
            )
        for (part, action, reason, frozen), count in self._groups():
            what = f"{action}: {reason}" if reason else action
            untrained = action in ("skipped", "re-estimated")
            trained = "—" if untrained else ("frozen" if frozen else "trained")
            table.add_row(part, str(count["tensors"]), f"{count['values']:,}", what, trained)
        totals = self.totals()
        kept = totals["loaded"]["values"] + totals["adapted"]["values"]
        everything = kept + totals["reset"]["values"] + totals["re-estimated"]["values"]
        share = f"{100 * kept / everything:.1f} % of all values from the source"
        table.add_section()
        table.add_row(
            "total", "", f"{everything:,}", share, f"{totals['frozen']['values']:,} frozen"
        )
        return table

    def _groups(self) -> Iterator[tuple[tuple[str, Action, str, bool], dict[str, int]]]:
        groups: dict[tuple[str, Action, str, bool], list[TensorRecord]] = {}
        for record in self.tensors:
            key = (record.part, record.action, record.reason, record.frozen)
            groups.setdefault(key, []).append(record)
        for key, records in groups.items():
            yield key, _count(records)


def _count(records: list[TensorRecord]) -> dict[str, int]:
    return {"tensors": len(records), "values": sum(r.values for r in records)}
