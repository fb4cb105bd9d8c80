"""The verb ``simulate``."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    disease: Annotated[
        str,
        typer.Argument(
            help="ms, wmh, stroke (lesions), brats, brats2015 (tumours), tissue, anatomy "
            "(healthy), natural."
        ),
    ],
    *,
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")],
    output: Annotated[Path, typer.Option(help="Folder to write into; made if it is missing.")],
    spacing_mm: Annotated[float, typer.Option(help="Voxel edge in mm; 1 is the real size.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result is the same.")] = 1,
    protocol: Annotated[
        str | None,
        typer.Option(help="Scanner protocol by name; drawn for each subject if left out."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Whole heads as the scanner gives them, with the truth beside them."
        ),
    ] = False,
) -> None:
    """Simulate a cohort, in the folder layout of the real data set, or raw.

    Every subject is MNI152 anatomy under a random deformation, with pathology mixed in as tissue
    fractions and t1, t1c, t2 and flair computed from the MR signal equations. wmh is small vessel
    disease: t1 and flair on the flair's thick slices, at baseline and for most years later on
    another scanner. stroke, tissue (with structures) and anatomy (seven regions) are t1 alone on
    the MNI152 grid; natural is no brain but textures and shapes, a stand-in for natural images.
    brats2015 are tumours in the folders, MetaImage files and labels of that year. It looks like
    MRI and is not real data: the headers say so. The same command goes on where it was interrupted,
    and makes again what is broken.

    With --raw, of ms, brats and wmh, every series is a whole head in a pose of its own, in oblique
    slices, for `preprocess simulated_ms_raw`, `simulated_brats_raw` or
    `simulated_wmh_baseline_raw`. The label lies on the FLAIR; brain masks and transforms between
    the series are in `truth`.

    Example: `monai-transfer simulate brats --subjects 285 --output brats2018`
    """
    from monai_transfer.simulation import count_simulated, manifests_of, simulate_cohort

    try:
        simulate_cohort(
            disease,
            output,
            subjects=subjects,
            spacing_mm=spacing_mm,
            seed=seed,
            workers=workers,
            protocol=protocol,
            raw=raw,
        )
    except KeyboardInterrupt:
        done = count_simulated(output, disease, subjects=subjects, raw=raw)
        typer.echo(f"{done} of {subjects} subjects are done; the same command goes on.", err=True)
        raise
    manifests = ", ".join(manifests_of(disease, raw=raw))
    typer.echo(f"{subjects} simulated subjects in {output}; described by {manifests}")
