"""The verb ``layers``."""

from typing import Annotated

import typer


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
    from rich.table import Table

    from monai_transfer.bundle import bundles_dir, read_architecture
    from monai_transfer.transfer import trace_layers

    read = read_architecture(bundle, search=[bundles_dir()], trust=trust, size=size)
    found = trace_layers(read.network, read.example)
    total = sum(layer.parameters for layer in found)
    table = Table(title=f"{read.name}: {type(read.network).__name__}", box=None)
    for heading in (
        "",
        "layer",
        "kind",
        "norm",
        "activation",
        "output",
        "parameters",
        "up to here",
    ):
        right = heading in ("", "output", "parameters", "up to here")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    kinds = {name: type(module).__name__ for name, module in read.network.named_modules()}
    so_far = 0
    for layer in found:
        so_far += layer.parameters
        table.add_row(
            str(layer.index),
            layer.name,
            layer.kind,
            ", ".join(kinds[name] for name in layer.norms),
            ", ".join(kinds[name] for name in layer.activations),
            "×".join(map(str, layer.output_shape[1:])) if layer.output_shape else "–",
            f"{layer.parameters:,}",
            f"{100 * so_far / total:.1f} %",
        )
    table.add_section()
    table.add_row("", "total", "", "", "", "", f"{total:,}", "")
    console = Console()
    console.print(table)
    for layer in found:
        for unused in layer.unused:
            console.print(f"{unused} was not used; it counts to layer {layer.index}.")
