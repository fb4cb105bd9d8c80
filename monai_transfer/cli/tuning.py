"""The verb ``tune``."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from monai_transfer.errors import InputError


class ManyValues(TyperCommand):
    """Options that may be given several times take several values at once too.

    ``--learning-rate 0.01 0.003`` is read as ``--learning-rate 0.01 --learning-rate 0.003``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write the name of such an option before each of its values."""
        many = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        end = args.index("--") if "--" in args else len(args)
        repeated: list[str] = []
        name, values = "", 0
        for arg in args[:end]:
            if arg.startswith("--"):
                name, values = (arg if arg in many else ""), 0
            elif name:
                values += 1
                repeated += [name] if values > 1 else []
            repeated.append(arg)
        return super().parse_args(ctx, repeated + args[end:])


_DATA = "Data"


def tune(
    bundle: Annotated[
        str, typer.Argument(help="Name of one of our bundles, or a bundle's folder.")
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- --NAME VALUE ...]",
            help="Further options of the bundle, for every run, as its own command takes them.",
        ),
    ] = None,
    *,
    output_dir: Annotated[Path, typer.Option(help="Folder for folds, runs, table and picture.")],
    learning_rate: Annotated[
        list[float] | None, typer.Option(metavar="VALUE ...", help="Values to try.")
    ] = None,
    class_weight_decay: Annotated[
        list[float] | None, typer.Option(metavar="VALUE ...", help="Values to try.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="By patient, stratified by group.")] = 4,
    cases: Annotated[
        int | None, typer.Option(min=1, help="Training cases to divide; else the bundle's default.")
    ] = None,
    overlay: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE ...", help="Configs over train.json, such as paper.json."),
    ] = None,
    dataset_dir: Annotated[
        str | None, typer.Option(help="Folder of the data; else simulated.", rich_help_panel=_DATA)
    ] = None,
    datalist: Annotated[
        str | None, typer.Option(help="Decathlon datalist of it.", rich_help_panel=_DATA)
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(help="Or its description.", rich_help_panel=_DATA)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the folds, print the commands, run none.")
    ] = False,
) -> None:
    """Choose hyper-parameters by cross-validation inside the training set (Kaur 2019).

    Every setting of the grid is trained on every fold, each run an ordinary bundle command in a
    folder of its own. Called again, it goes on where it stopped. Printed are mean ± SD over the
    folds, and the command to type next.

    Example: `monai-transfer tune brats_ft --learning-rate 0.01 0.003 --class-weight-decay 0.5 0.8
    --folds 4 --cases 20 --output-dir runs/tuning`
    """
    from rich.console import Console

    from monai_transfer.studies import plan_tuning, typed

    axes = {"learning_rate": learning_rate, "class_weight_decay": class_weight_decay}
    data = {"dataset_dir": dataset_dir, "datalist": datalist, "manifest": manifest}
    named: dict[str, Any] = {"cases": cases, **data}
    plan = plan_tuning(
        bundle,
        output_dir,
        grid={axis: values for axis, values in axes.items() if values},
        folds=folds,
        options={k: v for k, v in named.items() if v is not None} | _options(others or []),
        overlays=overlay or [],
    )
    if dry_run:
        for command in plan.commands():
            typer.echo(typed(command))
        return
    tuning = plan.run()
    console = Console()
    console.print(tuning.table())
    typer.echo(f"Table and picture are in {output_dir}. To train with the best setting:")
    typer.echo(typed(tuning.command))


def _options(words: Sequence[str]) -> dict[str, Any]:
    """``--name value`` pairs; a value that reads as a number, list or truth is one."""
    names, values = words[::2], words[1::2]
    for name in names:
        if not name.startswith("--") or len(names) > len(values):
            rule = "be pairs of --name and value"
            raise InputError("tune", "options after --", rule, got=" ".join(words))
    return {name[2:]: _value(value) for name, value in zip(names, values, strict=True)}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
