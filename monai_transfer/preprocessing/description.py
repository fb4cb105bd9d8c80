"""The files that stand for a whole prepared cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from monai_transfer._files import written_aside
from monai_transfer.data import Manifest, write_datalist
from monai_transfer.data.splits import SPLITS
from monai_transfer.data.strict_json import write_json
from monai_transfer.imaging.nyul import StandardScale
from monai_transfer.preprocessing.derivatives import (
    PARTICIPANTS,
    dataset_description,
    participants_table,
    prepared_manifest,
)
from monai_transfer.preprocessing.page import write_page
from monai_transfer.preprocessing.work import Job, Outcome
from monai_transfer.simulation.record import keep_record

FAILURES = "failures.log"


@dataclass(frozen=True)
class Source:
    """A cohort of raw scans.

    Args:
        manifest: what it is.
        dataset_dir: its folder.
        brain_masks: pattern of given brain masks on the reference's grid, from the same folder,
            with the layout's fields but ``{modality}``; ``None``: brains are found.
        seed: of the split.
        validation: patients, or their share; ``None``: the manifest's.
        test: likewise.
        partial: a part of the data set: its counts are not compared.
    """

    manifest: Manifest
    dataset_dir: Path
    brain_masks: str | None = None
    seed: int = 0
    validation: float | None = None
    test: float | None = None
    partial: bool = False


@dataclass(frozen=True)
class Summary:
    """What became of a cohort.

    Args:
        outcomes: subject → what became of it.
        scale: the standard scale, if the recipe has one.
        learned: whether it was learned now; else it was given, or kept from before.
    """

    outcomes: Mapping[str, Outcome]
    scale: StandardScale | None
    learned: bool

    def count(self, state: str) -> int:
        """How many subjects were ``made``, ``kept`` or ``failed``."""
        return sum(outcome.state == state for outcome in self.outcomes.values())

    @property
    def failures(self) -> dict[str, str]:
        """Subject → reason."""
        return {s: o.reason for s, o in self.outcomes.items() if o.state == "failed"}


def describe_cohort(
    source: Source,
    jobs: Mapping[str, Job],
    datalist: Mapping[str, Any],
    summary: Summary,
) -> None:
    """Write datalist, manifest, BIDS's tables, the page to look at, and why subjects failed.

    Args:
        source: the raw cohort.
        jobs: subject → its job.
        datalist: of the raw cohort.
        summary: what became of it.
    """
    first = next(iter(jobs.values()))
    output, recipe = first.output, first.recipe
    manifest = prepared_manifest(source.manifest, recipe)
    write_json(manifest, output / "manifest.json")
    write_json(dataset_description(source.manifest, recipe), output / "dataset_description.json")
    keep_record(source.dataset_dir, output, by=recipe.name)
    if source.manifest.groups or source.manifest.split.told is not None:
        table = participants_table([job.visit for job in jobs.values()])
        _write_text(output / PARTICIPANTS, table)
    listed = {split: _entries(datalist[split], jobs, summary) for split in SPLITS}
    if source.manifest.label is None:  # nothing to train on, and nobody was asked for
        datalist = {**datalist, "split": {**datalist["split"], "validation": 0, "test": 1.0}}
        listed = {split: [] for split in SPLITS} | {"test": [*chain(*listed.values())]}
    numbers = {f"num{split.capitalize()}": len(listed[split]) for split in SPLITS}
    named = {"name": manifest["name"], "description": manifest["description"]}
    write_datalist({**datalist, **named, **numbers, **listed}, output / "datalist.json")
    records = {s: o.record for s, o in summary.outcomes.items() if o.record is not None}
    write_page(output, records, {s: jobs[s] for s in records}, failures=summary.failures)
    log = output / FAILURES
    if not summary.failures:
        log.unlink(missing_ok=True)
        return
    told = (f"{s}: {o.reason}\n{o.trace}" for s, o in summary.outcomes.items() if o.reason)
    _write_text(log, "\n".join(told))


def _entries(
    entries: Sequence[Mapping[str, Any]], jobs: Mapping[str, Job], summary: Summary
) -> list[dict[str, Any]]:
    """The same subjects with their prepared files, but for those that failed."""
    listed = []
    for entry in entries:
        subject = entry["subject"]
        if summary.outcomes[subject].state == "failed":
            continue
        job, names = jobs[subject], jobs[subject].names
        paths: dict[str, Any] = {"image": [names.image(name) for name in job.images]}
        if job.label is not None:
            paths["label"] = names.label
        placed = {
            key: [f"{job.visit.folder}/{p}" for p in path]
            if isinstance(path, list)
            else f"{job.visit.folder}/{path}"
            for key, path in paths.items()
        }
        listed.append({**entry, **placed})
    return listed


def _write_text(path: Path, text: str) -> None:
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
