"""The verb ``bias``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_transfer.cli.outputs import Overwrite, require_new
from monai_transfer.errors import InputError

if TYPE_CHECKING:
    from monai_transfer._types import Voxels
    from monai_transfer.imaging import Image


def bias(
    image: Annotated[Path, typer.Argument(help="Image (.nii, .nii.gz, .mha).")],
    *,
    output: Annotated[Path, typer.Option(help="Corrected image to write (.nii, .nii.gz).")],
    mask: Annotated[
        Path | None,
        typer.Option(help="Where the field is estimated, best the brain; else Otsu's threshold."),
    ] = None,
    field: Annotated[
        Path | None, typer.Option(help="Write the field too, as a file of its own.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Take the bias field out of an image: N4, divided out of all voxels.

    The field is estimated from voxels about 3 mm apart, an axis of thick slices left whole, and
    evaluated on all voxels. Image and field are written as float32, on the image's grid.

    Example: `monai-transfer bias sub-01_flair.nii.gz --mask sub-01_brain.nii.gz
    --output sub-01_flair_n4.nii.gz`
    """
    from monai_transfer.imaging import read_image, write_image
    from monai_transfer.imaging.bias_field import estimate_bias_field

    require_new(output, field, overwrite=overwrite)
    scan = read_image(image)
    inside = None if mask is None else _voxels_on(scan, mask)
    try:
        found = estimate_bias_field(scan.voxels, inside, spacing_mm=scan.spacing_mm.tolist())
    except InputError as error:
        name, todo = image.name, error.todo
        raise InputError(name, error.what, error.rule, got=error.got, todo=todo) from error
    write_image(scan.with_voxels((scan.voxels / found).astype("float32")), output)
    if field is not None:
        write_image(scan.with_voxels(found), field)
    typer.echo(f"{output}: divided by a field of {found.min():.3f} to {found.max():.3f}")


def _voxels_on(scan: "Image", path: Path) -> "Voxels":
    """Voxels of a mask that must lie on the scan's grid."""
    from monai_transfer._grids import apart_mm, is_one_grid
    from monai_transfer.imaging import read_image

    mask = read_image(path)
    if mask.shape != scan.shape:
        raise InputError(path.name, "shape", f"be the image's, {scan.shape}", got=mask.shape)
    away_mm = apart_mm(scan.affine, mask.affine, scan.shape)
    if not is_one_grid(away_mm, scan.shape):
        todo = "Resample it to the image."
        raise InputError(
            path.name, "place", "be the image's", got=f"{away_mm:.2f} mm off", todo=todo
        )
    return mask.voxels
