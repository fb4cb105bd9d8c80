"""The verb ``study``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_transfer.cli.tuning import ManyValues

if TYPE_CHECKING:
    from rich.table import Table

Seeds = Annotated[
    list[int] | None, typer.Option(metavar="SEED ...", help="Repeats; else 0, 1 and 2.")
]

study = typer.Typer(help="A paper's questions, asked again of this package by one command.")


@study.command(cls=ManyValues)
def g17(
    *,
    output_dir: Annotated[Path, typer.Option(help="Folder for cohort, runs, tables, pictures.")],
    subjects: Annotated[int, typer.Option(min=12, help="Simulated patients.")] = 40,
    spacing_mm: Annotated[float, typer.Option(help="Of the simulated scans, in-plane.")] = 2.0,
    cases: Annotated[
        list[int] | None,
        typer.Option(metavar="N ...", help="Target's training cases; else 2, 5 and 12."),
    ] = None,
    tuned: Annotated[
        list[int] | None,
        typer.Option(metavar="K ...", help="Last layers tuned, of 15; else 1, 3, 6, 9, 12, 15."),
    ] = None,
    seeds: Seeds = None,
    steps: Annotated[int, typer.Option(min=1, help="Of 128 patches, of every training.")] = 200,
    source_epochs: Annotated[int, typer.Option(min=1, help="Of the source's training.")] = 12,
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Simulated cohort that is there already.")
    ] = None,
) -> None:
    """A new scanner: how many scans, how many layers (Ghafoorian 2017)?

    The source at home and on the target, its statistics re-estimated without labels, and trainings
    with few cases of the target, from scratch and of the last layers. Called again, it goes on
    where it stopped. Ends with Dice by cases and layers and with the paper's claims held against
    it.

    Example: `monai-transfer study g17 --cases 2 5 --tuned 3 15 --seeds 0 --output-dir runs/g17`
    """
    from monai_transfer.studies import G17, verdict_table

    defaults = G17(output_dir)
    plan = G17(
        output_dir,
        subjects=subjects,
        spacing_mm=spacing_mm,
        cases=cases or defaults.cases,
        tuned=tuned or defaults.tuned,
        seeds=seeds or defaults.seeds,
        steps=steps,
        source_epochs=source_epochs,
        dataset_dir=dataset_dir,
    )
    results = plan.run()
    _tell(output_dir, results.table(), verdict_table(results.verdicts()))


@study.command(cls=ManyValues)
def gl20(
    *,
    output_dir: Annotated[Path, typer.Option(help="Folder for cohort, runs, tables, pictures.")],
    subjects: Annotated[int, typer.Option(min=12, help="Simulated patients.")] = 40,
    spacing_mm: Annotated[float, typer.Option(help="Of scans and networks.")] = 2.0,
    cases: Annotated[
        int | None, typer.Option(min=1, help="Training cases; else all that there are.")
    ] = None,
    seeds: Seeds = None,
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME ...", help="Of the four of all modalities; else all of them."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most, of every training.")] = 30,
    patience: Annotated[
        int, typer.Option(min=1, help="Validations without a better one before a training's end.")
    ] = 10,
    filters: Annotated[int, typer.Option(min=1, help="Of the first layer; the paper's: 64.")] = 8,
) -> None:
    """From one MR modality to another, adversarially (Giacomello 2020)?

    Trains SegAN and SegAN-IO, with the Dice term and without, on t1, t1c, t2 and flair together,
    and SegAN-IO on each of them; scores each of these on the other modalities as it is, and tunes
    flair's on them, critic frozen or not. A training that collapses is a result. Called again, it
    goes on where it stopped. Ends with Dice by start and modality, negative transfer named, and
    with the paper's claims held against it.

    Example: `monai-transfer study gl20 --models segan segan-io --seeds 0 --output-dir runs/gl20`
    """
    from monai_transfer.studies import GL20, verdict_table

    defaults = GL20(output_dir)
    plan = GL20(
        output_dir,
        subjects=subjects,
        spacing_mm=spacing_mm,
        cases=cases,
        seeds=seeds or defaults.seeds,
        models=models or defaults.models,
        epochs=epochs,
        patience=patience,
        filters=filters,
    )
    results = plan.run()
    _tell(output_dir, results.models_table(), results.table(), verdict_table(results.verdicts()))


@study.command(cls=ManyValues)
def z22(
    *,
    output_dir: Annotated[Path, typer.Option(help="Folder for cohorts, runs, tables, pictures.")],
    subjects: Annotated[int, typer.Option(min=12, help="Simulated subjects of a cohort.")] = 24,
    spacing_mm: Annotated[float, typer.Option(help="Of scans and networks.")] = 2.0,
    cases: Annotated[
        list[int] | None,
        typer.Option(metavar="N ...", help="Training cases with stroke; else 4 and 14."),
    ] = None,
    seeds: Seeds = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME ...", help="Of the six sources; else all of them."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of 32 slices, on a target.")] = 150,
    source_steps: Annotated[int, typer.Option(min=1, help="Of 32 slices, of a source.")] = 400,
    filters: Annotated[int, typer.Option(min=1, help="64 is ResNet-50.")] = 8,
    imagenet: Annotated[
        Path | None,
        typer.Option(help="torchvision's ResNet-50 weights, one more source; needs 64 filters."),
    ] = None,
) -> None:
    """From which source task and domain should a model start (Zoetmulder 2022)?

    Trains sources that segment, auto-encode and classify, on simulated T1 and on simulated textures
    and shapes; fine-tunes each on stroke, MS lesions and anatomy, and trains from scratch beside
    them. Called again, it goes on where it stopped. Ends with the scores by source and with the
    paper's claims held against them.

    Example: `monai-transfer study z22 --cases 10 --seeds 0 --output-dir runs/z22`
    """
    from monai_transfer.studies import Z22, verdict_table

    defaults = Z22(output_dir)
    plan = Z22(
        output_dir,
        subjects=subjects,
        spacing_mm=spacing_mm,
        cases=cases or defaults.cases,
        seeds=seeds or defaults.seeds,
        sources=sources or defaults.sources,
        steps=steps,
        source_steps=source_steps,
        filters=filters,
        imagenet=imagenet,
    )
    results = plan.run()
    _tell(output_dir, results.table(), results.table("one"), verdict_table(results.verdicts()))


def _tell(output_dir: Path, *tables: "Table") -> None:
    from rich.console import Console

    Console().print(*tables)
    typer.echo(f"Tables and pictures are in {output_dir}.")
