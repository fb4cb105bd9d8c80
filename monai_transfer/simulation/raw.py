"""A subject as it comes from the scanner: whole head, a pose and a grid for each series.

The body is that of :func:`~monai_transfer.simulation.subject.simulate_subject` for the same seed
and index, so that the prepared images and the raw ones show one patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError
from monai_transfer.simulation.anatomy import upsampling
from monai_transfer.simulation.deformation import Warp
from monai_transfer.simulation.fields import Array, apply_separable, smooth_field
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.head import COMPARTMENTS, draw_head_shape, head_around
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.protocols import draw_scanner
from monai_transfer.simulation.scanner import Scanner, Sequence, signal
from monai_transfer.simulation.subject import (
    DISEASES,
    GRIDS,
    check_request,
    draw_body,
    draw_textures,
    grade_of,
    ideal_signal,
)
from monai_transfer.simulation.tissues import HEAD_TISSUES, TISSUES, tissue

_AROUND_MM = ((20.0, 20.0), (24.0, 24.0), (72.0, 20.0))  # head beyond the brain's grid
_HEAD_FIELD_MM = (230.0, 240.0, 170.0)  # of view: across, from front to back, from above down
_SCOUT_MM = 4.0

Matrix = npt.NDArray[np.float64]


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


def simulate_raw(
    disease: str, index: int, *, spacing_mm: float = 1.0, seed: int = 0, protocol: str | None = None
) -> Mapping[str, RawSeries]:
    """Simulate one subject as the scanner gives it.

    Args:
        disease: ``ms`` or ``brats``.
        index: position in the cohort.
        spacing_mm: of the body that is scanned, and the finest in-plane spacing.
        seed: of the cohort.
        protocol: name of a protocol; ``None`` draws one for the subject.

    Returns:
        Modality → series, each with its own slices, tilt, pose, bias field, gain and noise.

    Raises:
        InputError: for an unknown disease or protocol, or numbers out of range.

    Source:
        Ours.

    Example:
        >>> raw = simulate_raw("ms", 0, spacing_mm=6.0, protocol="1.5T-routine-5mm")
        >>> sorted(raw), raw["flair"].voxels.dtype
        (['flair', 't1', 't1c', 't2'], dtype('int16'))
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    if index < 0:
        raise InputError("simulate", "index", "be 0 or more", got=index)
    key = np.random.SeedSequence([seed, index, DISEASES.index(disease)])
    body, scan, raw = (np.random.default_rng(k) for k in key.spawn(3))
    scanner = draw_scanner(scan, protocol)
    grid = GRIDS[disease].respaced(spacing_mm)
    grade = grade_of(index) if disease == "brats" else None
    with threadpool_limits(1):
        warp, mixture, pathology = draw_body(body, grid, disease=disease, grade=grade)
        wide = _around(grid)
        head = _head(raw, warp, wide)
        volumes = _ideals(raw, mixture, head, grid=wide, scanner=scanner)
        brain = _within_skull(head) | _pasted(mixture.anatomy.brain, mixture.anatomy.grid, wide)
        lesion = _pasted(pathology.label, mixture.anatomy.grid, wide)
        session = _pose(raw, turn_deg=6.0, shift_mm=6.0)
        return {
            modality: _series(
                raw,
                ideal,
                truth=(brain, lesion),
                grid=wide,
                sequence=scanner.sequences[modality],
                scanner=scanner,
                pose=session @ _pose(raw, turn_deg=1.0, shift_mm=1.0),
            )
            for modality, ideal in volumes.items()
        }


def _around(grid: Grid) -> Grid:
    """A grid widened to hold the head; its voxels fall on those of the old one."""
    step = grid.spacing_mm
    (left, right), (back, front), (below, above) = (
        [int(np.ceil(side / step)) for side in sides] for sides in _AROUND_MM
    )
    (x, y, z), (a, b, c) = grid.shape, grid.origin_mm
    shape = (x + left + right, y + back + front, z + below + above)
    return Grid(shape, step, (a - left * step, b - back * step, c - below * step))


def _pasted(values: npt.NDArray[Any], part: Grid, wide: Grid) -> npt.NDArray[Any]:
    """Values on a part of a grid, 0 around."""
    out = np.zeros(wide.shape, values.dtype)
    offset = np.rint((np.array(part.origin_mm) - wide.origin_mm) / wide.spacing_mm).astype(int)
    out[tuple(slice(o, o + n) for o, n in zip(offset, part.shape, strict=True))] = values
    return out


def _head(rng: np.random.Generator, warp: Warp, grid: Grid) -> dict[str, Array]:
    """Fractions of what is around the brain."""
    coarse = grid.respaced(_SCOUT_MM, pad=1)
    weights = upsampling(coarse, grid)
    at = np.stack([apply_separable(c, weights) for c in warp.to_template(coarse.points_mm())])
    return head_around(rng, at, spacing_mm=grid.spacing_mm, shape=draw_head_shape(rng))


def _within_skull(head: Mapping[str, Array]) -> npt.NDArray[np.bool_]:
    """Where the brain and the fluid around it fill more than half of a voxel."""
    others: Array = np.sum([f for name, f in head.items() if name != "outer_csf"], axis=0)
    return others < 0.5


def _ideals(
    rng: np.random.Generator,
    mixture: Mixture,
    head: Mapping[str, Array],
    *,
    grid: Grid,
    scanner: Scanner,
) -> dict[str, Array]:
    """Signed signal of head and brain for each modality, in units of white matter."""
    names = (*TISSUES, *HEAD_TISSUES)
    tissues = {name: tissue(name, scanner.field_tesla).drawn(rng) for name in names}
    anatomy = mixture.anatomy
    textures = draw_textures(rng, anatomy)
    brain = _pasted(anatomy.brain, anatomy.grid, grid)
    rest: Array = np.clip(1.0 - sum(head.values()), 0.0, 1.0)  # where this brain leaves room
    volumes = {}
    for modality, sequence in scanner.sequences.items():
        see = partial(
            signal,
            sequence=sequence,
            field_tesla=scanner.field_tesla,
            contrast_agent=modality == "t1c",
        )
        volume = rest * np.float32(see(tissues["csf"]))
        for name, fraction in head.items():
            volume += fraction * np.float32(see(tissues[COMPARTMENTS[name]]))
        volume[brain] = ideal_signal(mixture, textures, see=see, tissues=tissues)
        volumes[modality] = volume / np.float32(abs(see(tissues["wm"])))
    return volumes


def _pose(rng: np.random.Generator, *, turn_deg: float, shift_mm: float) -> Matrix:
    """A random rigid map, (4, 4)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(0.0, turn_deg, 3), degrees=True).as_matrix()
    pose[:3, 3] = rng.normal(0.0, shift_mm, 3)
    return pose


def _series(
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
    seen = ideal * np.exp(np.float32(scanner.bias_cv) * bias)
    centre_mm = grid.affine[:3, :3] @ ndimage.center_of_mass(brain) + grid.affine[:3, 3]
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
    inside = sampled(brain.astype(np.uint8), depth=0.0, order=0) > 0
    return RawSeries(stored, affine, to_body, sampled(lesion, depth=0.0, order=0), inside)


def _prescription(
    rng: np.random.Generator, sequence: Sequence, spacing_mm: float, centre_mm: Matrix
) -> tuple[tuple[int, int, int], Matrix]:
    """Shape and affine of a series: field of view around the brain, slices tilted."""
    steps = np.full(3, max(sequence.in_plane_mm, spacing_mm))
    steps[sequence.slice_axis] = max(sequence.slice_mm + sequence.gap_mm, spacing_mm)
    x, y, z = (
        int(np.ceil(field / step)) for field, step in zip(_HEAD_FIELD_MM, steps, strict=True)
    )
    tilt = Rotation.from_rotvec(rng.normal(0.0, (8.0, 2.0, 2.0)), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt * steps
    below_mm = tilt @ (0.0, 0.0, -10.0)  # more neck than air in view
    affine[:3, 3] = centre_mm + below_mm - affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2.0)
    return (x, y, z), affine
