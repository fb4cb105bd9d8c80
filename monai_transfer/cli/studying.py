"""The verb ``study``."""

from pathlib import Path
from typing import Annotated

import typer

from monai_transfer.cli.tuning import ManyValues

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
    seeds: Annotated[
        list[int] | None, typer.Option(metavar="SEED ...", help="Repeats; else 0, 1 and 2.")
    ] = None,
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
    from rich.console import Console

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
    console = Console()
    console.print(results.table(), verdict_table(results.verdicts()))
    typer.echo(f"Tables and pictures are in {output_dir}.")
