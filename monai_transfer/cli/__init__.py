"""The command line: each verb parses its arguments and calls the package.

A verb imports what it needs when it runs, so that ``--help`` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from monai_transfer import __version__
from monai_transfer.cli.bias import bias
from monai_transfer.cli.brain import brain
from monai_transfer.cli.interruption import Interrupted, signals_raised
from monai_transfer.cli.layers import layers
from monai_transfer.cli.outputs import Overwrite, require_new
from monai_transfer.cli.preprocessing import preprocess
from monai_transfer.cli.registration import register
from monai_transfer.cli.restoring import restore
from monai_transfer.cli.simulation import simulate
from monai_transfer.cli.splits import Partial, Seed, Test, Validation, tell_split
from monai_transfer.cli.studying import study
from monai_transfer.cli.submission import submit
from monai_transfer.cli.tuning import ManyValues, tune
from monai_transfer.errors import InputError


class _Verbs(TyperGroup):
    """Shows what the user can mend as one line, with status 1; ``--debug`` shows the traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with signals_raised():
                return super().invoke(ctx)
        except Interrupted as stop:
            raise typer.Exit(stop.status) from stop
        except BrokenPipeError:  # whoever read has seen enough; typer ends quietly
            raise
        except (InputError, OSError) as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"error: {_told(error)}", err=True)
            raise typer.Exit(1) from error


def _told(error: Exception) -> str:
    """An error in one line; of the system's, which file and why."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
manifest = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(manifest, name="manifest")
app.add_typer(study, name="study")
app.command()(simulate)
app.command(cls=ManyValues)(tune)
app.command()(submit)
app.command()(bias)
app.command()(register)
app.command()(preprocess)
app.command()(restore)
app.command()(brain)
app.command()(layers)


def _print_version(asked: bool) -> bool:  # noqa: FBT001 - typer passes it by position
    if asked:
        typer.echo(f"monai-transfer {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Transfer learning for brain-MRI segmentation, on MONAI.

    Training, evaluation and inference are bundles, run by MONAI's own command:

    `python -m monai.bundle run --config_file bundles/brats_ft/train.json`
    """
    del debug, version  # read from the context by _Verbs; handled by its callback


@manifest.callback()
def _manifest() -> None:
    """Describe a data set once, list its files for training, and check them."""


@manifest.command()
def build(
    description: Annotated[
        str, typer.Argument(help="The data set by name (brats2018), or your own manifest's path.")
    ],
    *,
    dataset_dir: Annotated[Path, typer.Option(help="Folder of the data set.")],
    output: Annotated[Path, typer.Option(help="Datalist to write (JSON).")],
    seed: Seed = 0,
    validation: Validation = None,
    test: Test = None,
    partial: Partial = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the Decathlon datalist of a data set: channels in named order, split by patient.

    The files are found by the pattern in the data set's description, and counted against it.
    They are listed by paths relative to the folder; nothing is copied.

    Example: `monai-transfer manifest build brats2018 --dataset-dir brats2018
    --output datalist.json`
    """
    from monai_transfer.data import (
        build_datalist,
        manifest_path,
        read_manifest,
        write_datalist,
    )

    require_new(output, overwrite=overwrite)
    described = read_manifest(manifest_path(description))
    try:
        datalist = build_datalist(
            described,
            dataset_dir,
            seed=seed,
            validation=validation,
            test=test,
            check_counts=not partial,
        )
    except InputError:
        from monai_transfer.simulation.record import manifests_named  # which takes seconds

        with manifests_named(dataset_dir, described.name):
            raise
    write_datalist(datalist, output)
    tell_split(datalist, output)


@manifest.command()
def check(
    datalist: Annotated[Path, typer.Argument(help="Any Decathlon-style dataset.json.")],
    *,
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data set; the datalist's own if left out.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Files read at a time; one per core if left out.")
    ] = None,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read files again that are the same as last time.")
    ] = False,
) -> None:
    """Check every file that a datalist names; each fault is one line on standard output.

    Files must be complete and readable, 3D, finite and on one grid for each subject; labels must be
    declared; no patient may be in two splits, and no path may leave the folder. Every training
    run passes this gate first. A warning stops nothing; with an error the status is 1. What each
    code means is on the page "Fault codes" of the reference.

    Example: `monai-transfer manifest check datalist.json --dataset-dir brats2018`
    """
    from rich.console import Console

    from monai_transfer._terminal import progress_bar
    from monai_transfer.bundle.location import cache_dir
    from monai_transfer.data import check_datalist, read_datalist

    console = Console(stderr=True)
    with progress_bar(on=console, show=console.is_terminal) as bar:
        task = bar.add_task("checking", total=None)
        faults = check_datalist(
            read_datalist(datalist),
            datalist.parent if dataset_dir is None else dataset_dir,
            cache_dir=None if reread else cache_dir(),
            workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for fault in faults:
        typer.echo(str(fault))
    errors = sum(fault.severity == "error" for fault in faults)
    typer.echo(f"{datalist}: {errors} errors, {len(faults) - errors} warnings", err=True)
    if errors:
        raise typer.Exit(1)


@app.command()
def bundles() -> None:
    """List the bundles: task, channels, the bundle each starts from, score.

    Scores are those in the bundle's metadata, which says on which data they were reached.

    Example: `monai-transfer bundles`
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from monai_transfer.bundle import list_bundles

    console = Console(highlight=False)
    for record in list_bundles():
        rows = {
            "task": record.task,
            "channels": " ".join(record.channels),
            "source": record.source or "–",
            "score": record.score or "–",
        }
        block = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            block.add_row(f"  {name}", Text(value))
        console.print(Text(record.name, "bold"))
        console.print(block)


def main() -> None:
    """Run the command line."""
    app(prog_name="monai-transfer")
