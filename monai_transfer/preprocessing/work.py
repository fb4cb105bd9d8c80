"""One subject from its files to its folder: what a worker does."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_limits

from monai_transfer._threads import one_thread
from monai_transfer.errors import InputError
from monai_transfer.imaging.brain import GivenMask
from monai_transfer.imaging.files import read_image
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.nyul import StandardScale
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.preprocessing import folders, store
from monai_transfer.preprocessing.derivatives import Names, Visit, space_of
from monai_transfer.preprocessing.methods import Methods, versions
from monai_transfer.preprocessing.prepared import Prepared
from monai_transfer.preprocessing.subject import preprocess_subject

STAGED = ".unstandardised"
"""Folder of subjects that wait for the cohort's standard scale."""


@dataclass(frozen=True)
class Job:
    """A subject to be prepared.

    Args:
        visit: the subject.
        images: modality → path from `dataset_dir`; a file, or a folder with a DICOM series.
        label: likewise; ``None`` without.
        brain: mask on the reference's grid, likewise; ``None``: it is found.
        dataset_dir: where the scans are.
        output: where to write.
        recipe: to follow.
        methods: of the steps.
        scale: ``None``: none is needed, or it is not known yet.
    """

    visit: Visit
    images: Mapping[str, str]
    label: str | None
    brain: str | None
    dataset_dir: Path
    output: Path
    recipe: Recipe
    methods: Methods
    scale: StandardScale | None = None

    @property
    def names(self) -> Names:
        """Of the subject's files."""
        return Names(self.visit.id, space_of(self.recipe.preparation))

    @property
    def waits(self) -> bool:
        """Whether the subject can go no further than to wait for a scale."""
        return self.recipe.preparation.nyul and self.scale is None

    @property
    def final(self) -> Path:
        """The subject's folder."""
        return self.output / self.visit.folder

    @property
    def staged(self) -> Path:
        """The subject's folder while it waits."""
        return self.output / STAGED / self.visit.folder


@dataclass(frozen=True)
class Outcome:
    """What became of a subject.

    Args:
        state: ``made``, ``kept`` (nothing had changed) or ``failed``.
        record: of the subject; ``None`` if it failed.
        reason: why it failed.
        trace: where, for those who mend the program; empty for a fault of the input.
    """

    state: Literal["made", "kept", "failed"]
    record: Mapping[str, Any] | None = None
    reason: str = ""
    trace: str = ""


def run(job: Job) -> Outcome:
    """Prepare a subject unless it is there already; whatever goes wrong is told, not raised."""
    try:
        with one_thread(), threadpool_limits(1):  # whatever the number of workers
            return _run(job)
    except InputError as fault:
        return Outcome("failed", reason=_told(fault))
    except Exception as fault:  # noqa: BLE001 - one subject must not stop the others
        reason = f"{type(fault).__name__}: {fault}"
        return Outcome("failed", reason=reason, trace=traceback.format_exc())


def _told(fault: InputError) -> str:
    """Without the name of the place, which is the subject, where it is nothing more."""
    return str(fault).removeprefix("subject: ")


def _run(job: Job) -> Outcome:
    inputs = [*job.images.values(), *filter(None, (job.label, job.brain))]
    made = store.Made(
        subject=job.visit.id,
        recipe=job.recipe,
        methods={**job.methods.describe(), **({} if job.brain is None else {"brain": "given"})},
        versions=versions(),
        inputs={path: folders.file_digest(job.dataset_dir / path) for path in inputs},
    )
    place = job.staged if job.waits else job.final
    for folder in (job.final, place):
        record = store.read_record(folder, job.names)
        if record is not None and record["key"] == made.key(job.scale):
            return Outcome("kept", record)
    aside = folders.aside_of(job.output, job.visit.id)
    _write(job, made, aside)
    folders.put_in_place(aside, place)
    record = store.read_record(place, job.names)
    if record is None:
        raise OSError(f"{place.name}: what was written cannot be read back")
    if place == job.final:
        folders.remove(job.staged)
    return Outcome("made", record)


def _write(job: Job, made: store.Made, aside: Path) -> None:
    names = job.names
    waiting = store.read_record(job.staged, names)
    if job.scale is not None and waiting is not None and waiting["key"] == made.key(None):
        store.standardise_subject(job.staged, aside, names=names, made=made, scale=job.scale)
        return
    raw = {name: _read(job, path, name) for name, path in job.images.items()}
    label = None if job.label is None else _read(job, job.label, "label")
    methods = job.methods
    if job.brain is not None:
        methods = replace(methods, brain=GivenMask(_read(job, job.brain, "brain mask")))
    prepared = _prepared(job, raw, label=label, methods=methods)
    store.write_subject(prepared, raw, aside, names=names, made=made, scale=job.scale)


def _prepared(
    job: Job, raw: Mapping[str, Image], *, label: Image | None, methods: Methods
) -> Prepared:
    recipe = job.recipe
    if job.waits:
        recipe = replace(recipe, preparation=replace(recipe.preparation, nyul=False))
    return preprocess_subject(raw, recipe, label=label, scale=job.scale, methods=methods)


def _read(job: Job, path: str, what: str) -> Image:
    """Read a scan; a fault names it by its path in the data set."""
    try:
        return read_image(job.dataset_dir / path)
    except InputError as fault:
        where = f"{what} {path}"
        raise InputError(where, fault.what, fault.rule, got=fault.got, todo=fault.todo) from fault
