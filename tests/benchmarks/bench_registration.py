r"""Error and CPU seconds of linear registration: ours, elastix, ANTs; and of resampling.

Real scans (see --real) give three tables: raw pairs with reference transforms as they are, the same
after known turns up to 30° and shifts up to 40 mm, and a healthy control's tissues on MNI152's.
Simulated subjects give another: a contrast on a tilted grid of thick slices, whose pose is known.
All methods run in turn on one core, so that their ratios hold on a busy machine (times do not).
SimpleITK is needed for the comparison of resampling; ANTs is left out where antspyx is missing.

    OMP_NUM_THREADS=1 ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 \
        python tests/benchmarks/bench_registration.py [--real ../shared/real] [--draws 20]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from monai_transfer.imaging import Image, read_image, write_image
from monai_transfer.imaging.registration import (
    RAS_TO_LPS,
    ElastixRegistration,
    Grid,
    LinearRegistration,
    LinearTransform,
    Registration,
    from_ras,
    mni152,
    mni152_focus,
    read_transform,
    resample,
)
from monai_transfer.simulation import simulate_subject

PAIRS = (("lg12", 1, "T1w"), ("lg12", 1, "T2w"), ("lg12", 2, "T1w"), ("lg20", 2, "T1w"))


@dataclass(frozen=True)
class Case:
    """Two images, where to compare, and the true map."""

    name: str
    fixed: Image
    moving: Image
    brain: Image
    truth: LinearTransform

    def error_mm(self, found: LinearTransform) -> NDArray[np.float64]:
        """Distances between where the two maps send brain voxels."""
        affine = RAS_TO_LPS @ self.brain.affine
        points = np.argwhere(self.brain.voxels > 0)[::50] @ affine[:3, :3].T + affine[:3, 3]
        return np.linalg.norm(found.points(points) - self.truth.points(points), axis=1)

    def posed(self, pose: NDArray[np.float64]) -> "Case":
        """The same with the moving head elsewhere: `pose` is 4×4, RAS mm."""
        moving = Image(self.moving.voxels, pose @ self.moving.affine)
        truth = self.truth.then(from_ras(pose))
        return Case(self.name, self.fixed, moving, self.brain, truth)


def real_cases(folder: Path) -> Iterator[Case]:
    """Raw pairs with the authors' transforms."""
    for subject, session, modality in PAIRS:
        base = folder / f"openms-long/sub-{subject}/ses-{session}"
        stem = f"sub-{subject}_ses-{session}_"
        fixed, moving, brain = (
            read_image(base / f"anat/{stem}{name}.nii.gz")
            for name in ("FLAIR", modality, "space-FLAIR_desc-brain_mask")
        )
        truth = read_transform(base / f"xfm/{stem}from-{modality}_to-FLAIR_mode-image_xfm.txt")
        yield Case(f"{subject} {session} {modality}", fixed, moving, brain, truth)


def random_pose(rng: np.random.Generator, degrees: float, mm: float) -> NDArray[np.float64]:
    """Turn by up to so much about any axis, shift by up to so much in any direction."""
    axis, direction = rng.normal(size=(2, 3))
    pose = np.eye(4)
    turn = np.deg2rad(rng.uniform(0, degrees)) * axis / np.linalg.norm(axis)
    pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] = rng.uniform(0, mm) * direction / np.linalg.norm(direction)
    return pose


def simulated_case(index: int) -> Case:
    """FLAIR and a T1 in another pose, on 0.9×0.9×4 mm slices that cut off the vertex."""
    subject = simulate_subject("ms", index, protocol="3T-volume")
    t1, _, _, flair = (
        Image(image.astype(np.float32), subject.grid.affine) for image in subject.image
    )
    pose = random_pose(np.random.default_rng(index), 10, 15)
    slices = Grid((256, 256, 36), pose @ np.array(
        [[-0.9, 0, 0, 115], [0, -0.9, 0, 95], [0, 0, 4, -65], [0, 0, 0, 1.0]]
    ))  # fmt: skip
    truth = from_ras(pose)
    moving = resample(t1, slices, transform=truth.inverse())
    brain = flair.with_voxels((flair.voxels != 0).astype(np.uint8))
    return Case(f"simulated {index}", flair, moving, brain, truth)


def ants(kind: str) -> Registration:
    """Antspyx with its own settings, as a method."""
    import ants as antspyx

    def register(
        fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> LinearTransform:
        del fixed_mask
        with tempfile.TemporaryDirectory() as folder:
            read = []
            for name, image in (("fixed", fixed), ("moving", moving)):
                write_image(image, f"{folder}/{name}.nii")
                read.append(antspyx.image_read(f"{folder}/{name}.nii"))
            found = antspyx.registration(*read, type_of_transform=kind, outprefix=f"{folder}/out")
            return read_transform(found["fwdtransforms"][0])

    return register


def methods() -> dict[str, tuple[Registration, bool]]:
    """Method and whether it is given the brain, by name."""
    table: dict[str, tuple[Registration, bool]] = {
        "ours affine": (LinearRegistration("affine"), False),
        "ours affine, brain": (LinearRegistration("affine"), True),
        "ours rigid": (LinearRegistration("rigid"), False),
        "elastix rigid": (ElastixRegistration("rigid", threads=1), False),
        "elastix affine": (ElastixRegistration("affine", threads=1), False),
        "elastix affine, brain": (ElastixRegistration("affine", threads=1), True),
    }
    try:
        table |= {"ANTs Rigid": (ants("Rigid"), False), "ANTs Affine": (ants("Affine"), False)}
    except ImportError:
        Console().print("antspyx is missing")
    return table


def run(method: Registration, case: Case, *, brain: bool) -> tuple[NDArray[np.float64], float]:
    """Errors and CPU seconds."""
    start = time.process_time()
    found = method(case.fixed, case.moving, fixed_mask=case.brain if brain else None)
    assert isinstance(found, LinearTransform)
    return case.error_mm(found), time.process_time() - start


def each_pair(cases: list[Case], console: Console) -> None:
    """Mean / largest error of every method on every pair."""
    table = Table(
        "method", *(case.name for case in cases), "CPU s", title="mean / largest error, mm"
    )
    for name, (method, brain) in methods().items():
        found = [run(method, case, brain=brain) for case in cases]
        errors = (f"{error.mean():.2f} / {error.max():.2f}" for error, _ in found)
        table.add_row(name, *errors, f"{np.mean([seconds for _, seconds in found]):.1f}")
    console.print(table)


def recovered(
    title: str, draw: Callable[[int], Case], counts: dict[str, int], console: Console
) -> None:
    """How often a method comes within 1 mm on average."""
    table = Table("method", "within 1 mm", "median", "worst", "CPU s", title=title)
    for name, (method, brain) in methods().items():
        if brain or not counts.get(name, counts["others"]):
            continue
        found = [
            run(method, draw(i), brain=brain) for i in range(counts.get(name, counts["others"]))
        ]
        means = np.array([error.mean() for error, _ in found])
        table.add_row(
            name,
            f"{(means < 1).sum()} of {means.size}",
            f"{np.median(means):.2f}",
            f"{means.max():.2f}",
            f"{np.mean([seconds for _, seconds in found]):.1f}",
        )
    console.print(table)


def to_template(folder: Path, console: Console) -> None:
    """Dice with the template's own tissues of a healthy control's, by each affine method."""
    stem = folder / "rorden/sub-rorden/anat/sub-rorden"
    t1 = read_image(f"{stem}_desc-stripped_T1w.nii.gz")
    given = {"brain": t1.with_voxels((t1.voxels > 0).astype(np.float32))}
    template = {"brain": mni152().voxels > 0}
    for name, load in (("GM", load_mni152_gm_template), ("WM", load_mni152_wm_template)):
        given[name] = read_image(f"{stem}_label-{name}_probseg.nii.gz")
        template[name] = load(resolution=1).get_fdata() > 0.5
    table = Table("method", *given, "CPU s", title="to MNI152: Dice")
    for name, (method, brain) in methods().items():
        if brain or "ffine" not in name:
            continue
        start = time.process_time()
        found = method(mni152(), t1, fixed_mask=mni152_focus() if "ours" in name else None)
        seconds = time.process_time() - start
        dice = []
        for tissue, image in given.items():
            mine = resample(image, mni152(), transform=found).voxels > image.voxels.max() / 2
            both = (mine & template[tissue]).sum()
            dice.append(f"{2 * both / (mine.sum() + template[tissue].sum()):.3f}")
        table.add_row(name, *dice, f"{seconds:.1f}")
    console.print(table)


def resampling(console: Console, repeats: int = 5) -> None:
    """A BraTS grid onto MNI152's, tilted: best CPU seconds, and the ratio to ours."""
    import SimpleITK

    volume = np.random.default_rng(0).normal(size=(155, 240, 240)).astype(np.float32).T
    moving, grid = Image(volume, np.eye(4)), Grid((182, 218, 182), np.eye(4))
    truth = from_ras(random_pose(np.random.default_rng(1), 10, 20))
    index = np.linalg.inv(RAS_TO_LPS) @ truth.matrix @ RAS_TO_LPS
    source = SimpleITK.GetImageFromArray(volume.T)
    affine = SimpleITK.AffineTransform(3)
    affine.SetMatrix(index[:3, :3].ravel())
    affine.SetTranslation(index[:3, 3])
    unit = (0, 0, 0), (1, 1, 1), np.eye(3).ravel()
    routes = {
        "ours": lambda: resample(moving, grid, transform=truth).voxels,
        "SimpleITK": lambda: (
            SimpleITK.GetArrayFromImage(
                SimpleITK.Resample(source, grid.shape, affine, SimpleITK.sitkLinear, *unit)
            ).T
        ),
        "scipy": lambda: affine_transform(volume, index, output_shape=grid.shape, order=1),
    }
    best: dict[str, float] = {}
    for _ in range(repeats):
        for name, route in routes.items():
            start = time.process_time()
            route()
            best[name] = min(best.get(name, np.inf), time.process_time() - start)
    table = Table("linear resampling", "CPU s", "ratio")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.3f}", f"{seconds / best['ours']:.2f}")
    console.print(table)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--peer-draws", type=int, default=5, help="slow; 0 leaves peers out")
    options = parser.parse_args()
    console = Console(width=140)
    ours = dict.fromkeys(("ours affine", "ours rigid"), options.draws)
    resampling(console)
    counts = {**ours, "others": options.peer_draws}
    if options.real:
        cases = list(real_cases(options.real))

        def posed(index: int) -> Case:
            rng = np.random.default_rng(index)
            return cases[index % len(cases)].posed(random_pose(rng, 30, 40))

        each_pair(cases, console)
        to_template(options.real, console)
        recovered("real pairs, turned up to 30°, shifted up to 40 mm", posed, counts, console)
    recovered("simulated T1 on thick slices → FLAIR", simulated_case, counts, console)


if __name__ == "__main__":
    main()
