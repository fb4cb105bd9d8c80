"""One series from the scanner: a pose, a tilted grid, thick slices, bias, noise, a scale."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.scanner import Scanner, Sequence

Matrix: TypeAlias = npt.NDArray[np.float64]

_HEAD_FIELD_MM = (230.0, 240.0, 170.0)  # of view: across, from front to back, from above down


@dataclass(frozen=True, eq=False)
class RawSeries:
    """One series.

    Args:
        voxels: (x, y, z) as stored by the scanner.
        affine: voxel index → scanner's world mm, RAS+; oblique.
        to_body: scanner's world → the body's mm, rigid: where the head lay. The truth for whoever
            registers two series.
        lesion: (x, y, z) the label on this grid, of the tissue in the middle of each voxel.
        brain: (x, y, z) all within the inner skull on this grid, likewise.
    """

    voxels: npt.NDArray[np.int16]
    affine: Matrix
    to_body: Matrix
    lesion: npt.NDArray[np.uint8]
    brain: npt.NDArray[np.bool_]


def draw_pose(rng: np.random.Generator, *, turn_deg: float, shift_mm: float) -> Matrix:
    """A random rigid map, (4, 4)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(0.0, turn_deg, 3), degrees=True).as_matrix()
    pose[:3, 3] = rng.normal(0.0, shift_mm, 3)
    return pose


def scan_series(
    rng: np.random.Generator,
    ideal: Array,
    *,
    truth: tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]],
    grid: Grid,
    sequence: Sequence,
    scanner: Scanner,
    pose: Matrix,
) -> RawSeries:
    """Scan a volume of signal: slices on a tilted grid, profile, bias, noise, gain."""
    brain, lesion = truth
    bias = smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=70.0)
    bias *= np.float32(scanner.bias_cv)
    seen = np.exp(bias, out=bias)
    seen *= ideal
    centre_mm = grid.affine[:3, :3] @ _middle(brain) + grid.affine[:3, 3]
    shape, affine = _prescription(
        rng, sequence, grid.spacing_mm, pose[:3, :3] @ centre_mm + pose[:3, 3]
    )
    to_body = np.linalg.inv(pose).astype(np.float64)
    to_voxel = np.linalg.inv(grid.affine) @ to_body @ affine

    def sampled(values: npt.NDArray[Any], *, depth: float, order: int) -> npt.NDArray[Any]:
        moved = to_voxel.copy()
        moved[:3, 3] += depth * to_voxel[:3, sequence.slice_axis]
        at: npt.NDArray[Any] = ndimage.affine_transform(
            values, moved, output_shape=shape, order=order
        )
        return at

    pitch_mm = np.linalg.norm(affine[:3, sequence.slice_axis])
    count = max(1, int(np.ceil(sequence.slice_mm / grid.spacing_mm)))
    within = (np.arange(count) + 0.5) / count - 0.5
    depths = within * sequence.slice_mm / pitch_mm
    slices = sum(sampled(seen, depth=float(depth), order=1) for depth in depths) / np.float32(count)
    noise = rng.standard_normal((2, *shape), dtype=np.float32)
    noise *= np.float32(sequence.noise_fraction)
    image = np.hypot(slices + noise[0], noise[1])
    image *= np.float32(scanner.gain * np.exp(rng.normal(0.0, 0.8)))
    stored = np.clip(np.rint(image), 0, np.iinfo(np.int16).max).astype(np.int16)
    inside = sampled(brain.view(np.uint8), depth=0.0, order=0) > 0
    return RawSeries(stored, affine, to_body, sampled(lesion, depth=0.0, order=0), inside)


def _middle(mask: npt.NDArray[np.bool_]) -> Matrix:
    """Mean index of a mask along each axis; SciPy's takes volumes in double precision."""
    others = ((1, 2), (0, 2), (0, 1))
    counts = [np.count_nonzero(mask, axis=axes) for axes in others]
    return np.array([np.average(np.arange(len(c)), weights=c) for c in counts])


def _prescription(
    rng: np.random.Generator, sequence: Sequence, spacing_mm: float, centre_mm: Matrix
) -> tuple[tuple[int, int, int], Matrix]:
    """Shape and affine of a series: field of view around the brain, slices tilted."""
    steps = np.array([max(sequence.profile_mm(axis)[1], spacing_mm) for axis in range(3)])
    x, y, z = (
        int(np.ceil(field / step)) for field, step in zip(_HEAD_FIELD_MM, steps, strict=True)
    )
    tilt = Rotation.from_rotvec(rng.normal(0.0, (8.0, 2.0, 2.0)), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt * steps
    below_mm = tilt @ (0.0, 0.0, -10.0)  # more neck than air in view
    affine[:3, 3] = centre_mm + below_mm - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2.0)
    return (x, y, z), affine
