"""Dice of brain masks against given ones on real whole heads, beside other methods.

    python tests/benchmarks/bench_brain.py [--real ../shared/real] [--picture outlines.png]

Methods that are not installed are left out: deepbet and brainextractor (PyPI), HD-BET, SynthStrip.
The masks of the open MS scans were made by their authors on the FLAIR image and reach T1w and T2w
through the authors' own transforms; fepegar's is GIF's labels of brain and fluid, from the T1. The
last rows are simulated heads that no training has seen.
"""

import argparse
import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image
from monai_transfer.imaging.brain import METHODS, ExternalExtraction
from monai_transfer.simulation import simulate_raw

Case = tuple[str, Image, np.ndarray]
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SESSIONS = (("lg12", 1, ("T1w", "T2w")), ("lg12", 2, ("T1w",)), ("lg20", 2, ("T1w",)))
UNSEEN_SEED = 10_000


def on_grid(mask: Image, image: Image, to_mask: np.ndarray) -> np.ndarray:
    """A mask on another image's grid; `to_mask` maps its world to the mask's, RAS+ mm."""
    matrix = np.linalg.inv(mask.affine) @ to_mask @ image.affine
    moved = ndimage.affine_transform(
        mask.voxels.astype(np.float32), matrix, output_shape=image.shape, order=1
    )
    return moved > 0.5


def real_cases(real: Path) -> Iterator[Case]:
    """Raw whole heads with a mask."""
    pairs = json.loads((real / "registration_reference.json").read_text())["pairs"]
    for subject, session, others in SESSIONS:
        prefix = f"sub-{subject}_ses-{session}"
        folder = real / f"openms-long/sub-{subject}/ses-{session}/anat"
        mask = read_image(folder / f"{prefix}_space-FLAIR_desc-brain_mask.nii.gz")
        yield (
            f"{subject} {session} FLAIR",
            read_image(folder / f"{prefix}_FLAIR.nii.gz"),
            mask.voxels > 0,
        )
        for name in others:
            image = read_image(folder / f"{prefix}_{name}.nii.gz")
            pair = pairs[f"{prefix}: fixed FLAIR, moving {name}"]
            to_moving = LPS @ np.array(pair["matrix_lps_fixed_to_moving"]) @ LPS
            moved = on_grid(mask, image, np.linalg.inv(to_moving))
            yield f"{subject} {session} {name}", image, moved
    folder = real / "fepegar/sub-fepegar/anat"
    labels = read_image(folder / "sub-fepegar_space-T1w_desc-gif_dseg.nii.gz")
    inside = labels.with_voxels(labels.voxels >= 4)  # 4 is fluid outside the ventricles
    image = read_image(folder / "sub-fepegar_FLAIR.nii.gz")
    yield "fepegar FLAIR", image, ndimage.binary_fill_holes(on_grid(inside, image, np.eye(4)))


def simulated_cases(count: int = 2) -> Iterator[Case]:
    """Raw subjects of a seed that training does not use."""
    for index in range(count):
        subject = simulate_raw("ms", index, seed=UNSEEN_SEED)
        for modality in ("t1", "t2", "flair"):
            series = subject[modality]
            yield f"simulated {index} {modality}", Image(series.voxels, series.affine), series.brain


def brainextractor(image: Image) -> np.ndarray:
    """FSL's BET, Smith, Hum Brain Mapp 2002;17:143, in Python."""
    from brainextractor import BrainExtractor

    stored = nib.Nifti1Image(image.voxels.astype(np.float32), image.affine)
    extractor = BrainExtractor(stored)
    extractor.run()
    return np.asarray(extractor.compute_mask()) > 0


def methods() -> dict[str, Callable[[Image], np.ndarray]]:
    """What there is on this machine, the built-in first."""
    found: dict[str, Callable[[Image], np.ndarray]] = {
        name: method
        for name, method in METHODS.items()
        if not isinstance(method, ExternalExtraction) or shutil.which(method.program)
    }
    if importlib.util.find_spec("deepbet") is None:
        del found["deepbet"]
    if importlib.util.find_spec("brainextractor"):
        found["brainextractor"] = brainextractor
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def outlines(cases: list[Case], masks: list[np.ndarray], path: Path) -> None:
    """Given masks in green, found ones in red."""
    figure, axes = plt.subplots(3, len(cases), figsize=(4 * len(cases), 11), squeeze=False)
    for column, (name, image, given), found in zip(axes.T, cases, masks, strict=True):
        x, y, z = (n // 2 for n in image.shape)
        a, b, c = image.spacing_mm
        cuts = ((np.s_[:, :, z], b / a), (np.s_[x], c / b), (np.s_[:, y], c / a))
        column[0].set_title(name)
        for axis, (cut, aspect) in zip(column, cuts, strict=True):
            top = np.percentile(image.voxels, 99.5)
            axis.imshow(image.voxels[cut].T, cmap="gray", vmax=top, origin="lower", aspect=aspect)
            for mask, colour in ((given, "lime"), (found, "red")):
                if mask[cut].any():
                    axis.contour(mask[cut].T, [0.5], colors=colour, linewidths=0.8)
            axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=60)


def main() -> None:
    """Run every method on every case; print Dice and CPU seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=Path("../shared/real"))
    parser.add_argument("--picture", type=Path, help="outlines of the built-in method (PNG)")
    options = parser.parse_args()
    cases = [*real_cases(options.real), *simulated_cases()]
    available, found = methods(), []
    table = Table("Dice (CPU s)", *available)
    for name, image, given in cases:
        cells = []
        for method in available.values():
            start = time.process_time()
            try:
                mask = method(image)
            except (InputError, MemoryError, RuntimeError, ValueError, IndexError) as error:
                cells.append(type(error).__name__)
                continue
            cells.append(f"{dice(mask, given):.3f} ({time.process_time() - start:.1f})")
            if method is METHODS["unet"]:
                found.append(mask)
        table.add_row(name, *cells)
    Console().print(table)
    if options.picture:
        outlines(cases, found, options.picture)


if __name__ == "__main__":
    main()
