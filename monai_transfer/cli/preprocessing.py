"""The verb ``preprocess``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_transfer.cli.splits import Partial, Seed, Test, Validation, tell_split
from monai_transfer.errors import choice

if TYPE_CHECKING:
    from rich.progress import TaskID

    from monai_transfer.imaging.recipe import Preparation
    from monai_transfer.preprocessing import Methods, Summary
    from monai_transfer.preprocessing.cohort import Progress

_REGISTRATIONS = ("ours", "elastix")


def preprocess(
    manifest: Annotated[str, typer.Argument(help="Description of the raw data set: name or path.")],
    *,
    preset: Annotated[str, typer.Option(help="Recipe, one of those listed above.")],
    dataset_dir: Annotated[Path, typer.Option(help="Folder of the raw data set.")],
    output: Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result is the same.")] = 1,
    brain: Annotated[
        str,
        typer.Option(
            help="unet (built in), deepbet, hd-bet, synthstrip, or a command: {image} to {mask}."
        ),
    ] = "unet",
    brain_masks: Annotated[
        str | None,
        typer.Option(
            help="Masks that are there already, as a pattern with {subject}, on the grid of the "
            "recipe's reference."
        ),
    ] = None,
    registration: Annotated[
        str,
        typer.Option(
            help="ours, elastix, or a command with {fixed}, {moving} and {transform} in it."
        ),
    ] = "ours",
    standard_scale: Annotated[
        str | None,
        typer.Option(
            help="The source's: a bundle (ms_source, or its folder), or a JSON file; learned from "
            "the training subjects if left out."
        ),
    ] = None,
    seed: Seed = 0,
    validation: Validation = None,
    test: Test = None,
    partial: Partial = False,
) -> None:
    """Prepare a whole cohort of raw scans, so that a bundle can train on it.

    The recipe says what is done: registration to the reference or to MNI152, brain extraction, bias
    field, standard scale, resampling; labels follow.

    - `g17`: all on the FLAIR's grid, brain alone, bias field divided out
    - `k19`: all in MNI space at 1 mm, brain alone, as g17, on one standard scale
    - `z22`: T1, whole heads in MNI space at 1 mm
    - `z22_bahc`: as z22; loaded without the 61 uppermost axial slices
    - `z22_stroke`: as z22; loaded without the 29 uppermost
    - `z22_ms`: as z22; loaded without the 50 lowest and 11 uppermost
    - `z22_anatomy`: as z22_ms
    - `gl20`: modalities on one grid already: brain alone, at 1 mm

    A scan is a file, or a folder with one DICOM series. OUTPUT holds a folder for each subject,
    after BIDS derivatives, a datalist and a manifest that bundles take, and qc/index.html to look
    at.

    A subject that fails stops no other: it is listed at the end, and the status is 1. The same
    command goes on where it was interrupted, and does again only what changed.

    Example: `monai-transfer preprocess clinic.json --preset k19 --dataset-dir raw
    --output prepared --workers 8`
    """
    from monai_transfer.bundle import standard_scale_file
    from monai_transfer.data import manifest_path, read_manifest
    from monai_transfer.imaging import named_recipe, read_standard_scale
    from monai_transfer.preprocessing import Source, preprocess_cohort

    recipe = named_recipe(preset)
    methods = _methods(recipe.preparation, brain=brain, registration=registration)
    described = read_manifest(manifest_path(manifest))
    source = Source(described, dataset_dir, brain_masks, seed, validation, test, partial)
    scale = None
    if standard_scale is not None:
        scale = read_standard_scale(standard_scale_file(standard_scale))
    try:
        with _progress() as tell:
            summary = preprocess_cohort(
                source,
                recipe,
                output,
                methods=methods,
                scale=scale,
                workers=workers,
                progress=tell,
            )
    except KeyboardInterrupt:  # after the bar is gone
        typer.echo("Stopped. What is done is kept; the same command goes on.", err=True)
        raise
    _say(summary, output, given=standard_scale)
    if summary.failures:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator["Progress"]:
    """A bar for each thing that is done, where there is a terminal to draw it on."""
    from monai_transfer._terminal import console, progress_bar

    with progress_bar(show=console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield tell


def _methods(plan: "Preparation", *, brain: str, registration: str) -> "Methods":
    from monai_transfer.imaging.brain import brain_extraction
    from monai_transfer.imaging.registration import (
        CommandRegistration,
        ElastixRegistration,
        LinearRegistration,
        Registration,
    )
    from monai_transfer.preprocessing import Methods

    kinds = plan.registration or "affine", plan.to_template
    align: tuple[Registration, Registration]
    if registration == "ours":
        align = LinearRegistration(kinds[0]), LinearRegistration(kinds[1])
    elif registration == "elastix":
        align = (
            ElastixRegistration(kinds[0], threads=1),
            ElastixRegistration(kinds[1], threads=1),
        )
    elif "{fixed}" in registration:
        command = CommandRegistration(registration, threads=1)
        align = command, command
    else:
        raise choice("preprocess", "--registration", registration, _REGISTRATIONS)
    return Methods(brain=brain_extraction(brain), within=align[0], to_template=align[1])


def _say(summary: "Summary", output: Path, *, given: str | None) -> None:
    from monai_transfer.data import read_datalist
    from monai_transfer.imaging.nyul import SCALE_FILE

    numbers = ", ".join(f"{summary.count(state)} {state}" for state in ("made", "kept", "failed"))
    typer.echo(f"{output}: {numbers}. Look at {output / 'qc' / 'index.html'}")
    tell_split(read_datalist(output / "datalist.json"), output / "datalist.json")
    if summary.scale is not None:
        kept = "" if summary.learned else "; kept from before, remove it to learn another"
        told = kept if given is None else f"; that of {given}"
        learned = f"learned from {summary.scale.subjects} {summary.scale.origin or 'subjects'}"
        typer.echo(f"{output / SCALE_FILE}: {learned}{told}")
    for subject, reason in summary.failures.items():
        typer.echo(f"{subject}: {reason}", err=True)
