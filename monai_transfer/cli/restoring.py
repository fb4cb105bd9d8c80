"""The verb ``restore``."""

from pathlib import Path
from typing import Annotated

import typer

from monai_transfer.cli.outputs import Overwrite, require_new


def restore(
    segmentation: Annotated[Path, typer.Argument(help="Label map or mask of a prepared subject.")],
    *,
    prepared: Annotated[
        Path, typer.Option(help="The subject's folder in the output of preprocess.")
    ],
    output: Annotated[Path, typer.Option(help="The same on the raw scan's grid.")],
    modality: Annotated[
        str | None, typer.Option(help="Whose scan; the recipe's reference if left out.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Bring a segmentation of a prepared subject back to the grid of its raw scan.

    Through the inverse of the transforms that preprocess wrote, by nearest neighbour: label values
    are kept. The raw scan is not needed.

    Example: `monai-transfer restore runs/mine/sub-01.nii.gz --prepared prepared/sub-01
    --modality flair --output sub-01_lesions.nii.gz`
    """
    from monai_transfer import preprocessing
    from monai_transfer.imaging import read_image, write_image

    require_new(output, overwrite=overwrite)
    found = preprocessing.restore(read_image(segmentation), prepared, modality=modality)
    write_image(found, output)
    typer.echo(f"{segmentation} on the grid of {prepared.name}'s scan: {output}")
