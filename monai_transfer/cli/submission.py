"""The verb ``submit``."""

from pathlib import Path
from typing import Annotated

import typer

from monai_transfer.cli.outputs import Overwrite, require_new


def submit(
    predictions: Annotated[Path, typer.Argument(help="Folder of segmentations, from inference.")],
    *,
    manifest: Annotated[
        str,
        typer.Option(help="Description of the data set, by name (brats2018_validation) or path."),
    ],
    dataset_dir: Annotated[Path, typer.Option(help="Folder of its images.")],
    output: Annotated[Path, typer.Option(help="Archive to write, ending in .zip.")],
    overwrite: Overwrite = False,
) -> None:
    """Check segmentations and write the archive that a challenge's portal takes.

    Every subject must be segmented, on the voxels of its own images, with declared labels only; all
    faults come in one pass, and then nothing is written. The archive holds one file for each
    subject, uint8, named as the portal wants it.

    Example: `monai-transfer submit predictions --manifest brats2018_validation
    --dataset-dir MICCAI_BraTS_2018_Data_Validation --output submission.zip`
    """
    from monai_transfer.bundle import write_submission
    from monai_transfer.data import manifest_path

    require_new(output, overwrite=overwrite)
    described = manifest_path(manifest)
    names = write_submission(predictions, output, manifest=described, dataset_dir=dataset_dir)
    typer.echo(f"{output}: {len(names)} segmentations")
