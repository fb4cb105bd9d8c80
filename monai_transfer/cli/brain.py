"""The verb ``brain``."""

from pathlib import Path
from typing import Annotated

import typer

from monai_transfer.cli.outputs import Overwrite, require_new


def brain(
    image: Annotated[Path, typer.Argument(help="A head: .nii, .nii.gz or .mha.")],
    *,
    output: Annotated[Path, typer.Option(help="Mask to write, .nii or .nii.gz.")],
    method: Annotated[
        str,
        typer.Option(
            help="unet (built in), deepbet, hd-bet, synthstrip, or a command: {image} to {mask}."
        ),
    ] = "unet",
    overwrite: Overwrite = False,
) -> None:
    """Write the brain mask of a head, of any contrast, on the image's own grid.

    Brain is what lies within the inner skull, with the fluid around the brain; a skull-stripped
    image keeps the mask it has.

    Example: `monai-transfer brain sub-01_FLAIR.nii.gz --output sub-01_mask.nii.gz`
    """
    from monai_transfer.imaging import read_image, write_image
    from monai_transfer.imaging.brain import brain_extraction

    require_new(output, overwrite=overwrite)
    extract = brain_extraction(method)
    read = read_image(image)
    mask = read.with_voxels(extract(read))
    write_image(mask, output)
    litres = mask.voxels.sum() * mask.spacing_mm.prod() / 1e6
    typer.echo(f"{output}: {litres:.2f} L of brain")
