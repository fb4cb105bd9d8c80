"""Whole cohorts: from a folder of raw scans to one that a bundle trains on."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from monai_transfer._lock import FolderLock
from monai_transfer._processes import DiedError, Shared
from monai_transfer.data import build_datalist, find_subjects
from monai_transfer.data.strict_json import read_json, write_json
from monai_transfer.errors import InputError
from monai_transfer.imaging.nyul import (
    SCALE_FILE,
    StandardScale,
    learn_standard_scale,
    read_standard_scale,
    write_standard_scale,
)
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.preprocessing import folders, store
from monai_transfer.preprocessing.derivatives import visit_of
from monai_transfer.preprocessing.description import Source, Summary, describe_cohort
from monai_transfer.preprocessing.methods import Methods, versions
from monai_transfer.preprocessing.work import STAGED, Job, Outcome, run
from monai_transfer.simulation.record import manifests_named

COHORT = "preprocessing.json"

Progress = Callable[[str, int, int], None]
"""Told what is done, how many subjects are, and of how many."""


def preprocess_cohort(
    source: Source,
    recipe: Recipe,
    output: str | os.PathLike[str],
    *,
    methods: Methods | None = None,
    scale: StandardScale | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Summary:
    """Prepare every subject of a cohort as a recipe says, in the layout of BIDS derivatives.

    A subject that fails stops no other, and is in no list. The same call goes on where one was
    interrupted, and does again only what changed: scans, parameters or versions. The bytes do not
    depend on the number of workers.

    Where the recipe brings histograms to a standard scale and none is given, it is learned once
    from the training subjects of the split, written to ``standard_scale.json``, and kept for
    subjects that come later; other parameters learn another.

    Args:
        source: the raw cohort.
        recipe: to follow.
        output: folder to write to: a folder for each subject; ``datalist.json`` (a Decathlon
            datalist, paths from `output`), ``manifest.json``, ``participants.tsv`` with groups,
            ``dataset_description.json``, ``qc/index.html``, and ``failures.log`` if any failed.
        methods: of the steps; ``None``: the built-in ones.
        scale: of another cohort, to use instead of learning one.
        workers: processes, each with one thread.
        progress: is told how far it is; ``None``: nobody is.

    Raises:
        InputError: what :func:`~monai_transfer.data.build_datalist` refuses; an output folder that
            holds other subjects, or in which another run is at work; a given scale that the recipe
            does not use, without one of the modalities, or other than the folder's.

    Example:
        ::

            source = Source(read_manifest("clinic.json"), Path("raw"))
            preprocess_cohort(source, named_recipe("g17"), "prepared", workers=8)
    """
    output = Path(output).absolute()
    datalist = _split(source)
    jobs = _jobs(source, recipe, output, methods=methods or Methods.of(recipe.preparation))
    output.mkdir(parents=True, exist_ok=True)
    _refuse_strangers(output, jobs)
    lock = FolderLock(output)
    if lock.acquire() is False:
        todo = "Wait for it, or choose another folder."
        raise InputError(output.name, "folder", "be used by one run at a time", todo=todo)
    try:
        folders.remove_asides(output)
        summary = _brought(jobs, datalist, scale=scale, workers=workers, progress=progress)
        describe_cohort(source, jobs, datalist, summary)
    finally:
        lock.release()
    return summary


def _split(source: Source) -> dict[str, Any]:
    """The raw cohort's datalist: it says who is for training before anybody can fail."""
    with manifests_named(source.dataset_dir, source.manifest.name):
        return build_datalist(
            source.manifest,
            source.dataset_dir,
            seed=source.seed,
            validation=source.validation,
            test=source.test,
            check_counts=not source.partial,
        )


def _jobs(source: Source, recipe: Recipe, output: Path, *, methods: Methods) -> dict[str, Job]:
    reference = recipe.preparation.reference
    if reference is not None and reference not in source.manifest.modalities:
        known = ", ".join(source.manifest.modalities)
        rule = f"hold {reference}, the reference of {recipe.name}"
        raise InputError(source.manifest.name, "modalities", rule, got=known)
    jobs = {}
    for subject in find_subjects(source.manifest, source.dataset_dir):
        visit = visit_of(source.manifest, subject)
        brain = None
        if source.brain_masks is not None:
            brain = source.brain_masks.format(
                subject=visit.subject, session=visit.session, group=visit.group
            )
        jobs[subject.subject] = Job(
            visit=visit,
            images=dict(zip(source.manifest.modalities, subject.images, strict=True)),
            label=subject.label,
            brain=brain,
            dataset_dir=source.dataset_dir.absolute(),
            output=output,
            recipe=recipe,
            methods=methods,
        )
    return jobs


def _refuse_strangers(output: Path, jobs: Mapping[str, Job]) -> None:
    """Other subjects in the folder would be taken for this cohort's."""
    own = {job.final for job in jobs.values()}
    found = {path.parent.parent for path in output.glob("[!.]*/**/anat/*_desc-preproc.json")}
    strangers = sorted(path.relative_to(output).as_posix() for path in found - own)
    if strangers:
        listed = ", ".join(strangers[:5]) + (" …" if len(strangers) > 5 else "")
        todo = "Choose another folder, or remove them."
        raise InputError(output.name, "folder", "hold no other subjects", got=listed, todo=todo)
    seen = any(path.name[0] != "." for path in output.iterdir())
    if seen and not found and not (output / COHORT).exists():
        todo = "Choose another folder."
        raise InputError(output.name, "folder", "be empty, or hold this cohort", todo=todo)


def _brought(
    jobs: Mapping[str, Job],
    datalist: Mapping[str, Any],
    *,
    scale: StandardScale | None,
    workers: int,
    progress: Progress | None,
) -> Summary:
    """Prepare all; first only up to the scale, where one is to be learned."""
    first = next(iter(jobs.values()))
    output, key = first.output, _parameters(first)
    needed, learned = first.recipe.preparation.nyul, False
    if scale is not None:
        _require_usable(scale, first)
        _require_the_same(scale, _kept_scale(output, key))
    elif needed:
        scale = _kept_scale(output, key)
    failed: dict[str, Outcome] = {}
    if needed and scale is None:
        staged = dict(_run(jobs, workers=workers, progress=progress, what="Preparing"))
        failed = {subject: o for subject, o in staged.items() if o.state == "failed"}
        scale, learned = _learned(staged, datalist, first), True
    if scale is not None:
        write_standard_scale(scale, output / SCALE_FILE)
    write_json({"parameters": key, **_told_parameters(first)}, output / COHORT)
    left = {s: replace(job, scale=scale) for s, job in jobs.items() if s not in failed}
    what = "Standardising" if learned else "Preparing"
    done = dict(_run(left, workers=workers, progress=progress, what=what))
    outcomes = {subject: (done | failed)[subject] for subject in jobs}
    for subject, outcome in outcomes.items():
        if outcome.state == "failed":  # what an earlier run made of it is not what it is now
            folders.remove(jobs[subject].final)
    if not any(outcome.state == "failed" for outcome in outcomes.values()):
        folders.remove(output / STAGED)
    return Summary(outcomes, scale, learned)


def _parameters(job: Job) -> str:
    """Equal for equal preparation, whatever the scans."""
    plan = job.recipe.preparation
    return folders.digest(store.REVISION, repr(plan), job.methods.describe(), dict(versions()))


def _told_parameters(job: Job) -> dict[str, Any]:
    return {
        "recipe": job.recipe.name,
        "methods": job.methods.describe(),
        "versions": dict(versions()),
    }


def _require_usable(scale: StandardScale, job: Job) -> None:
    if not job.recipe.preparation.nyul:
        rule = "be left out with a recipe that brings images to none"
        raise InputError("standard scale", "it", rule, got=job.recipe.name)
    missing = [name for name in job.images if name not in scale.landmarks]
    if missing:
        rule = f"have landmarks of {', '.join(missing)}"
        todo = "Take those modalities out of the manifest, or leave the scale out."
        raise InputError("standard scale", "it", rule, got=", ".join(scale.landmarks), todo=todo)


def _require_the_same(scale: StandardScale, kept: StandardScale | None) -> None:
    """Images on one scale are not made again on another without a word."""
    if kept is None or kept == scale:
        return
    told = [f"learned from {s.subjects} {s.origin or 'subjects'}" for s in (kept, scale)]
    todo = f"Choose another folder, or remove {SCALE_FILE}."
    raise InputError("standard scale", "it", f"be the folder's, {told[0]}", got=told[1], todo=todo)


def _kept_scale(output: Path, key: str) -> StandardScale | None:
    """The scale of a run before this one by the same parameters."""
    if not ((output / SCALE_FILE).is_file() and (output / COHORT).is_file()):
        return None
    same = read_json(output / COHORT).get("parameters") == key
    return read_standard_scale(output / SCALE_FILE) if same else None


def _learned(staged: Mapping[str, Outcome], datalist: Mapping[str, Any], job: Job) -> StandardScale:
    modalities = [*job.images]
    found = [
        np.array([staged[subject].record["landmarks"][name] for name in modalities])  # type: ignore[index]
        for subject in sorted(entry["subject"] for entry in datalist["training"])
        if staged[subject].record is not None
    ]
    if not found:
        reasons = [f"{s}: {o.reason}" for s, o in staged.items() if o.state == "failed"]
        rule = "hold a subject that can be prepared, to learn the standard scale from"
        raise InputError(job.output.name, "training", rule, got="; ".join(reasons[:3]) or "none")
    origin = f"training subjects of {datalist['name']}"
    return learn_standard_scale(found, modalities, origin=origin)


def _run(
    jobs: Mapping[str, Job], *, workers: int, progress: Progress | None, what: str
) -> Iterator[tuple[str, Outcome]]:
    tell = progress or (lambda *_: None)
    tell(what, 0, len(jobs))
    results = Shared(run, workers=workers).results([*jobs.values()])
    for done, (job, result) in enumerate(results, start=1):
        tell(what, done, len(jobs))
        if isinstance(result, DiedError):
            result = Outcome("failed", reason=f"{result}")  # noqa: PLW2901
        yield job.visit.id, result
