"""N4 beside SimpleITK's and ANTs': CPU seconds, agreement, and what is left of a bias field.

    pip install SimpleITK antspyx
    python tests/benchmarks/bench_bias_field.py speed FLAIR BRAIN_MASK [--whole]
    python tests/benchmarks/bench_bias_field.py white_matter BRAIN_MASK IMAGE [IMAGE …]
    python tests/benchmarks/bench_bias_field.py truth [--subjects 7] [--spacing-mm 2]

``speed``: one thread each, in one process, one after the other; ratios hold on a busy machine,
times do not. All take the same voxels: those of the mask above 0. ``--whole`` adds SimpleITK at
full resolution, some minutes.

``white_matter``: its coefficient of variation before and after. White matter is the brightest of
three k-means classes of a T1-weighted image within the brain, the middle one of a FLAIR, found
after the correction and taken for both.

``truth``: simulated subjects, whose field is known. What is left is the standard deviation in the
brain of the logarithm of the found over the true field.
"""

import argparse
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import nibabel as nib
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.ndimage import map_coordinates
from sklearn.cluster import KMeans

from monai_transfer.imaging import Image, read_image
from monai_transfer.imaging.bias_field import estimate_bias_field
from monai_transfer.imaging.n4 import N4Settings
from monai_transfer.simulation import MODALITIES, scan, simulate_subject

FOUR_LEVELS = N4Settings(iterations=(50,) * 4, grid_mm=None)
"""The settings of SimpleITK and ANTs."""


def simpleitk(image: Image, mask: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Log field of SimpleITK, estimated on a shrunk grid, as its example does."""
    import SimpleITK as sitk  # noqa: N813 - as its documentation

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    whole, inside = (
        sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
        for voxels in (image.voxels.astype(np.float32), mask.astype(np.uint8))
    )
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.Execute(sitk.Shrink(whole, factors), sitk.Shrink(inside, factors))
    return sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(whole)).T


def antspy(image: Image, mask: np.ndarray, factor: int) -> np.ndarray:
    """Log field of antspyx at its defaults, but for the stopping rule."""
    import ants

    spacing = image.spacing_mm.tolist()
    whole, inside = (
        ants.from_numpy(voxels.astype(np.float32), spacing=spacing)
        for voxels in (image.voxels, mask)
    )
    convergence = {"iters": [50] * 4, "tol": FOUR_LEVELS.convergence_threshold}
    field = ants.n4_bias_field_correction(
        whole, inside, shrink_factor=factor, convergence=convergence, return_bias_field=True
    )
    return np.log(field.numpy())


def speed(options: argparse.Namespace) -> None:
    """CPU seconds of each, and agreement with the first."""
    image = read_image(options.image)
    mask = (read_image(options.mask).voxels != 0) & (image.voxels > 0)

    def ours(settings: N4Settings, backend: str = "torch") -> Callable[[], np.ndarray]:
        spacing = image.spacing_mm.tolist()
        return lambda: np.log(
            estimate_bias_field(
                image.voxels, mask, spacing_mm=spacing, settings=settings, backend=backend
            )
        )

    thin = N4Settings(iterations=FOUR_LEVELS.iterations)
    routes = {
        "ours, all voxels": ours(FOUR_LEVELS),
        "ours, 3 mm grid": ours(thin),
        "ours, default (3 levels, 3 mm)": ours(N4Settings()),
        f"SimpleITK, shrink {thin.steps(image.spacing_mm)}": lambda: simpleitk(
            image, mask, thin.steps(image.spacing_mm)
        ),
        "SimpleITK, shrink (4, 4, 4)": lambda: simpleitk(image, mask, (4, 4, 4)),
        "antspyx, shrink 4": lambda: antspy(image, mask, 4),
    }
    if options.whole:
        routes["SimpleITK, all voxels"] = lambda: simpleitk(image, mask, (1, 1, 1))
    ours(N4Settings(iterations=(1,)))()  # what is loaded on first use
    table = Table("", "CPU s", "times the first", "r", "SD of log difference")
    reference, unit = np.empty(0), 0.0
    for name, route in routes.items():
        start = time.process_time()
        log = route()
        seconds = time.process_time() - start
        if not unit:
            reference, unit = log[mask], seconds
        apart = log[mask] - reference
        r = np.corrcoef(log[mask], reference)[0, 1]
        table.add_row(
            name, f"{seconds:.2f}", f"{seconds / unit:.1f}", f"{r:.6f}", f"{apart.std():.5f}"
        )
    Console().print(f"{Path(options.image).name}, {image.shape}, {mask.sum()} voxels in the mask")
    Console().print(table)


def white_matter(options: argparse.Namespace) -> None:
    """Coefficient of variation of white matter before and after, per image."""
    table = Table("", "before", "after 3 levels", "after 4 levels")
    brain = read_image(options.mask)
    for path in options.images:
        image = read_image(path)
        mask = on_grid(brain, image) & (image.voxels > 0)
        after = [
            image.voxels
            / estimate_bias_field(
                image.voxels, mask, spacing_mm=image.spacing_mm.tolist(), settings=settings
            )
            for settings in (N4Settings(), N4Settings(iterations=FOUR_LEVELS.iterations))
        ]
        white = classes(after[0], mask) == (2 if "T1w" in Path(path).name else 1)
        values = [voxels[white] for voxels in (image.voxels, *after)]
        table.add_row(Path(path).name, *(f"{v.std() / v.mean():.4f}" for v in values))
    Console().print(table)


def on_grid(mask: Image, image: Image) -> np.ndarray:
    """A mask on the grid of another image of the same visit, by their affines."""
    affine = np.linalg.inv(mask.affine) @ image.affine
    places = nib.affines.apply_affine(affine, np.moveaxis(np.indices(image.shape), 0, -1))
    inside = (mask.voxels != 0).astype(np.float32)
    return map_coordinates(inside, np.moveaxis(places, -1, 0), order=1) > 0.5


def classes(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Class of each voxel, the darkest 0; −1 outside the mask."""
    values = voxels[mask][:, None]
    means = KMeans(3, n_init=4, random_state=0).fit(values[::20]).cluster_centers_[:, 0]
    found = np.full(voxels.shape, -1)
    found[mask] = np.digitize(
        values[:, 0], [(a + b) / 2 for a, b in itertools.pairwise(np.sort(means))]
    )
    return found


def truth(options: argparse.Namespace) -> None:
    """What is left of the bias, per modality and number of levels."""
    levels = {f"{n} levels": N4Settings(iterations=(50,) * n, grid_mm=None) for n in (1, 2, 3, 4)}
    levels["3 levels, 3 mm grid"] = N4Settings()
    left, r = defaultdict(list), defaultdict(list)
    for index in range(options.subjects):
        disease = ("ms", "brats")[index % 2]
        subject, fields = with_fields(disease, index, options.spacing_mm)
        for modality, image, (field, anatomy) in zip(
            MODALITIES, subject.image, fields, strict=True
        ):
            true = np.log(field[anatomy.brain])
            left[modality, "no correction"].append(true.std())
            for name, settings in levels.items():
                found = estimate_bias_field(
                    image, image > 0, spacing_mm=(options.spacing_mm,) * 3, settings=settings
                )
                log = np.log(found[anatomy.window][anatomy.brain])
                left[modality, name].append((log - true).std())
                r[modality, name].append(np.corrcoef(log, true)[0, 1])
    table = Table("", *MODALITIES, title="left, mean (median r with the truth)")
    for name in ("no correction", *levels):
        cells = []
        for modality in MODALITIES:
            told = f" ({np.median(r[modality, name]):.2f})" if (modality, name) in r else ""
            cells.append(f"{np.mean(left[modality, name]):.4f}{told}")
        table.add_row(name, *cells)
    Console().print(table)


def with_fields(disease: str, index: int, spacing_mm: float) -> tuple:
    """A simulated subject, and the field and anatomy of each of its images."""
    fields = []
    draw_bias = scan.draw_bias

    def remembered(rng, anatomy, *, cv):
        fields.append((draw_bias(rng, anatomy, cv=cv), anatomy))
        return fields[-1][0]

    with patch.object(scan, "draw_bias", remembered):
        subject = simulate_subject(disease, index, spacing_mm=spacing_mm, seed=1)
    return subject, fields


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("speed")
    one.add_argument("image")
    one.add_argument("mask")
    one.add_argument("--whole", action="store_true")
    one.set_defaults(run=speed)
    two = verbs.add_parser("white_matter")
    two.add_argument("mask")
    two.add_argument("images", nargs="+")
    two.set_defaults(run=white_matter)
    three = verbs.add_parser("truth")
    three.add_argument("--subjects", type=int, default=7)
    three.add_argument("--spacing-mm", type=float, default=2.0)
    three.set_defaults(run=truth)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.run(options)


if __name__ == "__main__":
    main()
