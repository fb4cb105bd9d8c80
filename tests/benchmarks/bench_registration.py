r"""Error and CPU seconds of linear registration: ours, elastix, ANTs; and of resampling.

Real scans (a folder with raw pairs and reference transforms, see --real) give the first two tables:
each pair as it is, and one pair after known turns up to 30° and shifts up to 40 mm. Simulated
subjects give the third: another contrast on a tilted grid of thick slices, whose pose is known. All
methods run in turn on one core, so that their ratios hold on a busy machine (times do not). ANTs is
left out where antspyx is missing.

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
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
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


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--peer-draws", type=int, default=5)
    options = parser.parse_args()
    console = Console(width=140)
    ours = dict.fromkeys(("ours affine", "ours rigid"), options.draws)
    counts = {**ours, "others": options.peer_draws}
    if options.real:
        cases = list(real_cases(options.real))

        def posed(index: int) -> Case:
            rng = np.random.default_rng(index)
            return cases[index % len(cases)].posed(random_pose(rng, 30, 40))

        each_pair(cases, console)
        recovered("real pairs, turned up to 30°, shifted up to 40 mm", posed, counts, console)
    recovered("simulated T1 on thick slices → FLAIR", simulated_case, counts, console)


if __name__ == "__main__":
    main()
