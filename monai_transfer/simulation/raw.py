"""A subject as it comes from the scanner: whole head, a pose and a grid for each series.

The body is that of :func:`~monai_transfer.simulation.subject.simulate_subject` for the same seed
and index, so that the prepared images and the raw ones show one patient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError
from monai_transfer.simulation.anatomy import upsampling
from monai_transfer.simulation.appearance import Appearance, draw_appearance, ideal_signal
from monai_transfer.simulation.body import BRAIN_TISSUES, DISEASES, GRIDS, Seen, draw_bodies
from monai_transfer.simulation.deformation import Warp
from monai_transfer.simulation.fields import Array, apply_separable
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.head import COMPARTMENTS, draw_head
from monai_transfer.simulation.head_shape import draw_head_shape
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.protocols import draw_scanner, draw_visit
from monai_transfer.simulation.rules import check_request, checked_session
from monai_transfer.simulation.scanner import Scanner
from monai_transfer.simulation.series import RawSeries, draw_pose, scan_series
from monai_transfer.simulation.tissues import HEAD_TISSUES
from monai_transfer.simulation.visits import session_sources, sessions_of

_AROUND_MM = ((20.0, 20.0), (24.0, 24.0), (72.0, 20.0))  # head beyond the brain's grid
_SCOUT_MM = 4.0
_PLANES = 8

_Around: TypeAlias = Callable[[slice], Mapping[str, Array]]
"""Some planes across the first axis → compartment of the head → fraction."""


def simulate_raw(
    disease: str,
    index: int,
    *,
    spacing_mm: float = 1.0,
    seed: int = 0,
    protocol: str | None = None,
    session: str | None = None,
) -> Mapping[str, RawSeries]:
    """Simulate one subject as the scanner gives it.

    Args:
        disease: ``ms``, ``brats`` or ``wmh``.
        index: position in the cohort.
        spacing_mm: of the body that is scanned, and the finest in-plane spacing.
        seed: of the cohort.
        protocol: name of a protocol; ``None`` draws one for the subject, or with ``wmh`` takes that
            of the session.
        session: of ``wmh``: ``baseline``, which is also meant by ``None``, or ``followup``.

    Returns:
        Modality → series, each with its own slices, tilt, pose, bias field, gain and noise.

    Raises:
        InputError: for an unknown disease, protocol or session, a cohort without raw scans, or
            numbers out of range.

    Source:
        Ours.

    Example:
        >>> raw = simulate_raw("ms", 0, spacing_mm=6.0, protocol="1.5T-routine-5mm")
        >>> sorted(raw), raw["flair"].voxels.dtype
        (['flair', 't1', 't1c', 't2'], dtype('int16'))
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol, raw=True)
    asked = checked_session(disease, session)
    return _simulated(
        disease, index, spacing_mm=spacing_mm, seed=seed, protocol=protocol, sessions=[asked]
    )[asked]


def simulate_raw_visits(
    disease: str, index: int, *, spacing_mm: float = 1.0, seed: int = 0, protocol: str | None = None
) -> Mapping[str | None, Mapping[str, RawSeries]]:
    """Simulate one subject as the scanner gives it at each session it comes to in a cohort.

    Args:
        disease: see :func:`simulate_raw`.
        index: likewise.
        spacing_mm: likewise.
        seed: likewise.
        protocol: likewise.

    Returns:
        Session → what `simulate_raw` gives for it; ``None`` where nobody comes twice.

    Raises:
        InputError: see :func:`simulate_raw`.

    Example:
        >>> list(simulate_raw_visits("wmh", 0, spacing_mm=8.0))
        ['baseline', 'followup']
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol, raw=True)
    return _simulated(
        disease,
        index,
        spacing_mm=spacing_mm,
        seed=seed,
        protocol=protocol,
        sessions=sessions_of(disease, index),
    )


def _simulated(
    disease: str,
    index: int,
    *,
    spacing_mm: float,
    seed: int,
    protocol: str | None,
    sessions: Sequence[str | None],
) -> dict[str | None, dict[str, RawSeries]]:
    if index < 0:
        raise InputError("simulate", "index", "be 0 or more", got=index)
    key = np.random.SeedSequence([seed, index, DISEASES.index(disease)])
    body_key, scan_key, raw_key = key.spawn(3)
    body, scan, raw = (np.random.default_rng(k) for k in (body_key, scan_key, raw_key))
    grid = GRIDS[disease].respaced(spacing_mm)
    if disease == "wmh":
        sources = session_sources(raw_key, sessions)
        scanners = {session: draw_visit(sources[session], str(session)) for session in sessions}
    else:
        sources = {None: raw}
        scanners = {None: draw_scanner(scan, protocol)}
    with threadpool_limits(1):
        warp, bodies = draw_bodies(body, grid, disease=disease, index=index, sessions=sessions)
        (first, _), *_ = bodies.values()
        wide = _around(grid)
        head = draw_head(raw, wide.shape, spacing_mm=spacing_mm, shape=draw_head_shape(raw))
        at = _positions(warp, wide)
        appearance = draw_appearance(
            raw,
            first.anatomy,
            names=(*BRAIN_TISSUES[disease], *HEAD_TISSUES),
            field_tesla=scanners[sessions[0]].field_tesla,
        )
        return {
            session: _scanned(
                sources[session],
                seen,
                scanners[session],
                grid=wide,
                around=lambda planes: head.fractions(at(planes), planes),
                appearance=appearance,
            )
            for session, seen in bodies.items()
        }


def _scanned(
    rng: np.random.Generator,
    seen: Seen,
    scanner: Scanner,
    *,
    grid: Grid,
    around: _Around,
    appearance: Appearance,
) -> dict[str, RawSeries]:
    """The series of one session."""
    mixture, pathology = seen
    part = mixture.anatomy.grid
    volumes, brain = _ideals(mixture, around, appearance, grid=grid, scanner=scanner)
    lesion = _pasted(pathology.label, part, grid)
    session = draw_pose(rng, turn_deg=6.0, shift_mm=6.0)
    return {
        modality: scan_series(
            rng,
            volumes.pop(modality),
            truth=(brain, lesion),
            grid=grid,
            sequence=sequence,
            scanner=scanner,
            pose=session @ draw_pose(rng, turn_deg=1.0, shift_mm=1.0),
        )
        for modality, sequence in scanner.sequences.items()
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


def _positions(warp: Warp, grid: Grid) -> Callable[[slice], Array]:
    """Template positions of some planes across the first axis, (3, x, y, z)."""
    coarse = grid.respaced(_SCOUT_MM, pad=1)
    x, y, z = upsampling(coarse, grid)
    scouted = warp.to_template(coarse.points_mm())
    return lambda planes: np.stack([apply_separable(c, (x[planes], y, z)) for c in scouted])


def _ideals(
    mixture: Mixture,
    around: _Around,
    appearance: Appearance,
    *,
    grid: Grid,
    scanner: Scanner,
) -> tuple[dict[str, Array], npt.NDArray[np.bool_]]:
    """What there is to be scanned.

    The head's many compartments exist a few planes at a time.

    Returns:
        Signed signal of head and brain for each modality, in units of white matter; where the
        brain and the fluid around it fill more than half of a voxel.
    """
    tissues, anatomy = appearance.tissues, mixture.anatomy
    sees = {modality: scanner.seeing(modality) for modality in scanner.sequences}
    volumes = {modality: np.empty(grid.shape, np.float32) for modality in sees}
    within = _pasted(anatomy.brain, anatomy.grid, grid)
    brain = within.copy()
    for planes in _slabs(grid.shape[0]):
        fractions = around(planes)
        others: Array = np.sum([f for n, f in fractions.items() if n != "outer_csf"], axis=0)
        within[planes] |= others < 0.5
        rest = np.clip(1.0 - sum(fractions.values()), 0.0, 1.0)  # where this brain leaves room
        for modality, see in sees.items():
            slab = rest * np.float32(see(tissues["csf"]))
            for name, fraction in fractions.items():
                slab += fraction * np.float32(see(tissues[COMPARTMENTS[name]]))
            volumes[modality][planes] = slab
    for modality, see in sees.items():
        volumes[modality][brain] = ideal_signal(mixture, appearance, see=see)
        volumes[modality] /= np.float32(abs(see(tissues["wm"])))
    return volumes, within


def _slabs(count: int) -> Iterator[slice]:
    return (slice(first, min(first + _PLANES, count)) for first in range(0, count, _PLANES))
