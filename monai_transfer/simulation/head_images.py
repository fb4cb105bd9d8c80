"""Whole heads of any contrast, resolution and pose, to learn from where the brain is.

Label maps of heads are deformed, each label is given an intensity, and the picture is bent, cut,
sliced and made noisy far beyond what scanners do, so that a network which finds the brain in all
of them finds it in a scan it has never seen.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation import scanner
from monai_transfer.simulation.fields import Array, Shape, apply_separable, smooth_field
from monai_transfer.simulation.head_labels import LABELS, HeadLabels
from monai_transfer.simulation.template import column
from monai_transfer.simulation.tissues import tissue

_FINE_MM, _COARSE_MM = 2.0, 3.0


def draw_pair(
    rng: np.random.Generator, head: HeadLabels, *, shape: Shape = (64, 80, 64)
) -> tuple[Array, Array]:
    """A picture of a head, and where its brain is.

    Args:
        rng: source of randomness.
        head: what is seen.
        shape: largest field of view, in voxels of 3 mm.

    Returns:
        Image and part of each voxel within the inner skull, both (x, y, z) at 3 mm; the field of
        view is cut at random.

    Source:
        Ours, after Billot et al., Med Image Anal 2023;86:102789 (intensities, resolution) and
        Hoopes et al., NeuroImage 2022;260:119474 (whole heads, brain extraction).
    """
    x, y, z = (round(n * _COARSE_MM / _FINE_MM) for n in shape)
    seen = _posed(rng, head, (x, y, z))
    image = _contrast(rng)[seen.labels]
    image = _textured(rng, image)
    if rng.uniform() < 0.15:
        image = _defaced(rng, image, seen.target)
    if rng.uniform() < 0.05:
        image = np.where(seen.target, image, 0.0).astype(np.float32)
    bias = smooth_field(rng, image.shape, spacing_mm=_FINE_MM, scale_mm=float(rng.uniform(50, 120)))
    image = image * np.exp(np.float32(rng.uniform(0.0, 0.45)) * bias)
    image = _sliced(rng, image)
    sigma = np.float32(rng.uniform(0.0, 0.08) * np.percentile(image, 95))
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * sigma
    image = np.hypot(image + noise[0], noise[1])
    weights = _averaging((x, y, z), shape)
    image = apply_separable(image, weights)
    target = apply_separable(seen.target.astype(np.float32), weights)
    window = _field_of_view(rng, shape)
    return np.ascontiguousarray(image[window]), np.ascontiguousarray(target[window])


def _posed(rng: np.random.Generator, head: HeadLabels, shape: Shape) -> HeadLabels:
    """The head rotated, scaled, mirrored, moved and bent."""
    spread_deg = 25.0 if rng.uniform() < 0.25 else 9.0
    pitch, roll, yaw = np.deg2rad(rng.normal(0.0, spread_deg, 3))
    matrix = np.eye(3)
    for angle, (i, j) in ((pitch, (1, 2)), (roll, (0, 2)), (yaw, (0, 1))):
        turn = np.eye(3)
        turn[[i, j], [i, j]] = np.cos(angle)
        turn[[i, j], [j, i]] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    matrix = matrix @ np.diag(np.exp(rng.normal(0.0, 0.06, 3)))
    matrix[0] *= rng.choice((-1.0, 1.0))
    axes = [(np.arange(n) - n / 2.0) * _FINE_MM for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    shift = rng.normal(0.0, 10.0, 3) + np.array([0.0, 0.0, rng.uniform(-25.0, 5.0)])
    at = np.tensordot(matrix.astype(np.float32), points, axes=1)
    at += column(head.centre_mm + shift, 4).astype(np.float32)
    for axis in range(3):
        for scale_mm, sigma_mm in ((40.0, 3.0), (18.0, 1.2)):
            at[axis] += np.float32(sigma_mm) * smooth_field(
                rng, shape, spacing_mm=_FINE_MM, scale_mm=scale_mm
            )
    index = np.rint(at / np.float32(head.spacing_mm)).astype(np.int32)
    last = column([n - 1 for n in head.labels.shape], 4).astype(np.int32)
    outside = ((index < 0) | (index > last)).any(axis=0)
    i, j, k = np.clip(index, 0, last)
    labels, target = head.labels[i, j, k], head.target[i, j, k]
    labels[outside] = 0
    target[outside] = False
    return replace(head, labels=labels, target=target)


def _contrast(rng: np.random.Generator) -> Array:
    """Intensity of each label: of a random MR sequence, or of none."""
    air = 0.0 if rng.uniform() < 0.7 else float(rng.uniform(0.0, 0.1))
    if rng.uniform() < 0.3:
        levels = rng.uniform(0.0, 1.0, len(LABELS)).astype(np.float32)
        levels[0] = air
        return levels
    sequence = _draw_sequence(rng)
    field_tesla = float(rng.choice((1.5, 3.0)))
    injected = bool(rng.uniform() < 0.25)

    def see(name: str) -> float:
        own = tissue(name, field_tesla).drawn(rng)
        return abs(scanner.signal(own, sequence, field_tesla=field_tesla, contrast_agent=injected))

    levels = np.array([see(name) for name in LABELS.values()], np.float32)
    saturated = rng.uniform(0.1, 0.5) if rng.uniform() < 0.3 else 1.0
    for position, name in enumerate(LABELS.values()):
        if name == "fat":
            levels[position] *= saturated
    levels /= levels[:4].max()
    levels *= np.exp(rng.normal(0.0, 0.12, len(levels))).astype(np.float32)
    levels[0] = air
    return levels


def _draw_sequence(rng: np.random.Generator) -> scanner.Sequence:
    kind = rng.choice(("t1", "inversion", "t2", "flair", "pd"))
    times = {
        "t1": (rng.uniform(350, 800), rng.uniform(5, 20), None),
        "inversion": (rng.uniform(1800, 2500), rng.uniform(2, 6), rng.uniform(750, 1100)),
        "t2": (rng.uniform(2500, 7000), rng.uniform(70, 130), None),
        "flair": (rng.uniform(6000, 11000), rng.uniform(80, 150), None),
        "pd": (rng.uniform(2000, 5000), rng.uniform(10, 40), None),
    }
    tr_ms, te_ms, ti_ms = times[str(kind)]
    if kind == "flair":  # about where fluid is nulled
        ti_ms = float(4100.0 * (np.log(2.0) - np.log1p(np.exp(-tr_ms / 4100.0))))
        ti_ms *= float(rng.uniform(0.92, 1.08))
    return scanner.Sequence(tr_ms, te_ms, ti_ms)


def _textured(rng: np.random.Generator, image: Array) -> Array:
    """Uneven within tissues, at two scales."""
    for scale_mm in (6.0, 20.0):
        texture = smooth_field(rng, image.shape, spacing_mm=_FINE_MM, scale_mm=scale_mm)
        image = image * (1.0 + np.float32(rng.uniform(0.0, 0.12)) * texture)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    textured: Array = np.abs(image * (1.0 + np.float32(rng.uniform(0.0, 0.15)) * grain))
    return textured


def _defaced(rng: np.random.Generator, image: Array, target: npt.NDArray[np.bool_]) -> Array:
    """Nothing in front of and below an oblique plane that leaves the brain."""
    normal = np.array([0.0, 1.0, -rng.uniform(0.3, 2.0)])
    along = np.tensordot(normal, np.indices(image.shape, np.float32), axes=1)
    limit = along[target].max() + rng.uniform(0.0, 10.0) if target.any() else np.inf
    return np.where(along > limit, np.float32(0.0), image)


def _sliced(rng: np.random.Generator, image: Array) -> Array:
    """Thick slices, with or without gaps, on most pictures."""
    if rng.uniform() < 0.35:
        return image
    axis = int(rng.choice(3, p=(0.15, 0.15, 0.7)))
    pitch = float(rng.uniform(2.5, 7.0))
    matrices = [np.eye(n, dtype=np.float32) for n in image.shape]
    acquire, back = scanner.slice_profile(
        image.shape[axis],
        _FINE_MM,
        thickness_mm=pitch * float(rng.uniform(0.7, 1.0)),
        pitch_mm=pitch,
        phase=float(rng.uniform(0.3, 0.99)),
    )
    matrices[axis] = back @ acquire
    x, y, z = matrices
    return apply_separable(image, (x, y, z))


def _averaging(fine: Shape, coarse: Shape) -> tuple[Array, Array, Array]:
    """Matrices that average fine voxels over coarse ones."""

    def along(count: int, to: int) -> Array:
        edges = np.linspace(0.0, count, to + 1)
        low, high = edges[:-1, None], edges[1:, None]
        cells = np.arange(count)
        overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0.0, None)
        weights: Array = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
        return weights

    x, y, z = (along(a, b) for a, b in zip(fine, coarse, strict=True))
    return x, y, z


def _field_of_view(rng: np.random.Generator, shape: Shape) -> tuple[slice, slice, slice]:
    """Cut at the ends, most often below and above."""

    def cut(count: int, low: float, high: float) -> slice:
        first = int(count * rng.uniform(0.0, low)) if rng.uniform() < 0.5 else 0
        last = int(count * rng.uniform(0.0, high)) if rng.uniform() < 0.5 else 0
        return slice(first, count - last)

    return cut(shape[0], 0.12, 0.12), cut(shape[1], 0.08, 0.08), cut(shape[2], 0.35, 0.15)
