"""The verb ``register``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_transfer.cli.outputs import Overwrite, require_new
from monai_transfer.errors import InputError, choice

if TYPE_CHECKING:
    from monai_transfer.imaging import Image
    from monai_transfer.imaging.registration import SpatialTransform


def register(
    fixed: Annotated[str, typer.Argument(help="Image whose grid is taken, or mni152.")],
    moving: Annotated[Path, typer.Argument(help="Image to align to it.")],
    *,
    output: Annotated[Path, typer.Option(help="The moving image on the fixed one's grid.")],
    transform: Annotated[
        Path | None, typer.Option(help="ITK text transform to write (.txt, .tfm).")
    ] = None,
    kind: Annotated[str, typer.Option(help="rigid or affine.")] = "affine",
    method: Annotated[str, typer.Option(help="ours or elastix.")] = "ours",
    mask: Annotated[
        Path | None, typer.Option(help="Brain mask of the fixed image; found roughly if left out.")
    ] = None,
    label: Annotated[
        Path | None, typer.Option(help="Mask or label map in the moving image's space.")
    ] = None,
    label_output: Annotated[
        Path | None, typer.Option(help="The same on the fixed grid, nearest neighbour.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Align an image to another of the same head by mutual information, or to MNI152.

    The transform maps points of the fixed image to points of the moving one, LPS mm, as ITK, ANTs
    and Slicer have it. To mni152, whose skull is stripped, register stripped images only.

    Told are how far the image was moved, and the normalised mutual information of the two in the
    brain, before and after: 1 where neither tells anything of the other. It depends on the
    contrasts: compare pairs of the same ones, as the page of `preprocess` does.

    Example: `monai-transfer register flair.nii.gz t1.nii.gz --output t1_on_flair.nii.gz
    --transform t1_to_flair.txt`
    """
    from monai_transfer.imaging import read_image, write_image
    from monai_transfer.imaging.brain import is_stripped
    from monai_transfer.imaging.registration import (
        ElastixRegistration,
        LinearRegistration,
        mni152,
        mni152_focus,
        resample,
    )
    from monai_transfer.imaging.registration.head import inside_head

    if (label is None) != (label_output is None):
        raise InputError("register", "--label and --label-output", "be given together")
    require_new(output, transform, label_output, overwrite=overwrite)
    methods = {"ours": LinearRegistration, "elastix": ElastixRegistration}
    if method not in methods:
        raise choice("register", "--method", method, methods)
    align = methods[method](kind)
    to_template = fixed == "mni152"
    target = mni152() if to_template else read_image(fixed)
    focus = mni152_focus() if to_template else None
    if mask is not None:
        focus = read_image(mask)
    source = read_image(moving)
    if to_template and not is_stripped(source):
        told = "does not look skull-stripped; its scalp may be laid on the template's cortex"
        typer.echo(f"warning: {moving} {told}. Multiply it by a brain mask first.", err=True)
    found = align(target, source, fixed_mask=focus)
    if transform is not None:
        found.save(transform)
    moved = resample(source, target, transform=found)
    write_image(moved, output)
    if label is not None and label_output is not None:
        labels = resample(read_image(label), target, transform=found, interpolation="nearest")
        write_image(labels, label_output)
    typer.echo(f"{moving} on the grid of {fixed}: {output}")
    inside = inside_head(target) if focus is None else focus
    typer.echo(_judged(target, source, found=found, moved=moved, inside=inside))


def _judged(
    fixed: "Image",
    moving: "Image",
    *,
    found: "SpatialTransform",
    moved: "Image",
    inside: "Image",
) -> str:
    """How far the image was moved, and how well the two agree before and after."""
    from monai_transfer.imaging.registration import resample
    from monai_transfer.preprocessing.quality import (
        displacement_mm,
        normalised_mutual_information,
    )

    mask = resample(inside, fixed, interpolation="nearest").voxels > 0
    before, after = (
        normalised_mutual_information(image.voxels, fixed.voxels, mask)
        for image in (resample(moving, fixed), moved)
    )
    return (
        f"moved by {displacement_mm(found, inside):.1f} mm on average in the brain; "
        f"normalised mutual information {before:.3f} before, {after:.3f} after "
        "(1: nothing in common)"
    )
