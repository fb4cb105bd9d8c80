"""The verb ``layers``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from torch import nn

    from monai_transfer.transfer.layers import Layer


def layers(
    bundle: Annotated[str, typer.Argument(help="Bundle by name, or folder or zip of any.")],
    *,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that the bundle's network names.")
    ] = False,
    size: Annotated[
        int, typer.Option(min=1, help="Voxels along axes that the bundle's metadata leave open.")
    ] = 64,
) -> None:
    """Number the layers of a bundle's network, as `--strategy freeze:<i>` counts them.

    They are in the order in which they run, each with the norm and activation that follow it, and
    with the share of all parameters up to it. Nothing that the bundle brings is run, unless it is
    trusted.

    Example: `monai-transfer layers brats_ft`
    """
    from rich.console import Console

    from monai_transfer.bundle import bundles_dir, read_architecture
    from monai_transfer.transfer import trace_layers

    read = read_architecture(bundle, search=[bundles_dir()], trust=trust, size=size)
    found = trace_layers(read.network, read.example)
    title = f"{read.name}: {type(read.network).__name__}"
    console = Console()
    table = _table(title, read.network, found)
    unbound = console.options.update(width=1000)
    if console.measure(table, options=unbound).maximum > console.width:
        table = _table(title, read.network, found, stacked=True)
    console.print(table)
    for layer in found:
        for unused in layer.unused:
            console.print(f"{unused} was not used; it counts to layer {layer.index}.")


def _table(
    title: str, network: "nn.Module", found: "Sequence[Layer]", *, stacked: bool = False
) -> "Table":
    """A row for each layer; if `stacked`, norm and activation are below the kind.

    So a terminal of 80 columns breaks no name, but for very long ones.
    """
    from rich.table import Table

    total = sum(layer.parameters for layer in found)
    table = Table(title=title, box=None)
    kinds = ["kind"] if stacked else ["kind", "norm", "activation"]
    for heading in ("", "layer", *kinds, "output", "parameters", "up to here"):
        right = heading in ("", "output", "parameters", "up to here")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    classes = {name: type(module).__name__ for name, module in network.named_modules()}
    so_far = 0
    for layer in found:
        so_far += layer.parameters
        told = [layer.kind]
        told += [", ".join(classes[n] for n in names) for names in (layer.norms, layer.activations)]
        table.add_row(
            str(layer.index),
            layer.name,
            *(["\n".join(filter(None, told))] if stacked else told),
            "×".join(map(str, layer.output_shape[1:])) if layer.output_shape else "–",
            f"{layer.parameters:,}",
            f"{100 * so_far / total:.1f} %",
        )
    table.add_section()
    table.add_row("", "total", *[""] * len(kinds), "", f"{total:,}", "")
    return table
