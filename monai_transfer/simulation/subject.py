"""One simulated subject, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.simulation.appearance import draw_appearance
from monai_transfer.simulation.body import (
    BRAIN_TISSUES,
    DISEASES,
    GRIDS,
    SERIES,
    Seen,
    draw_bodies,
    grade_of,
)
from monai_transfer.simulation.grid import Grid, SliceGrid
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.pathology import Labels
from monai_transfer.simulation.pictures import draw_pictures, picture_grid
from monai_transfer.simulation.protocols import PROTOCOLS, VISITS, VOLUMES, draw_scanner, draw_visit
from monai_transfer.simulation.rules import check_request, checked_session
from monai_transfer.simulation.scan import scan
from monai_transfer.simulation.scanner import MODALITIES, Scanner
from monai_transfer.simulation.slices import scan_on_slices
from monai_transfer.simulation.visits import SESSIONS, session_sources, sessions_of

Images: TypeAlias = npt.NDArray[np.int16]
Scan: TypeAlias = tuple[Images, Labels, Grid | SliceGrid, Scanner]


@dataclass(frozen=True)
class Subject:
    """A simulated subject at one session; arrays x y z, RAS+.

    Args:
        disease: the cohort, one of ``DISEASES``.
        index: position in the cohort.
        grade: ``HGG`` or ``LGG``; ``None`` without a glioma.
        image: (modalities, x, y, z), as the scanner's sequences: t1, t1c, t2, flair; of ``wmh`` t1
            and flair; of the newer cohorts t1 alone; 0 outside the brain, at least 1 inside.
        label: (x, y, z) lesion 1, or BraTS' 1, 2, 4, and 3 of ``brats2015``; of ``tissue`` and
            ``anatomy`` the values of :mod:`~monai_transfer.simulation.structures`, of ``natural``
            those of :mod:`~monai_transfer.simulation.pictures`.
        grid: geometry of the arrays.
        scanner: the protocol the subject was 'scanned' with; ``None`` for pictures.
        session: ``baseline`` or ``followup`` for ``wmh``; ``None`` where nobody comes twice.
        others: name → (x, y, z) further labels: ``structures`` of ``tissue``.
    """

    disease: str
    index: int
    grade: str | None
    image: Images
    label: Labels
    grid: Grid | SliceGrid
    scanner: Scanner | None
    session: str | None = None
    others: Mapping[str, Labels] = field(default_factory=dict)


def simulate_subject(
    disease: str,
    index: int,
    *,
    spacing_mm: float = 1.0,
    seed: int = 0,
    protocol: str | None = None,
    session: str | None = None,
) -> Subject:
    """Simulate one subject: anatomy, pathology, and images of it.

    Args:
        disease: the cohort, one of ``DISEASES``.
        index: position in the cohort; with the seed it determines everything.
        spacing_mm: edge of a voxel; for ``wmh`` the finest, and slices are as the FLAIR's.
        seed: of the cohort.
        protocol: name of a protocol; ``None`` draws one for the subject. Patients with ``wmh`` are
            scanned with the protocol of their session; pictures have none.
        session: of ``wmh``: ``baseline``, which is also meant by ``None``, or ``followup``.

    Returns:
        The subject.

    Raises:
        InputError: for an unknown disease, protocol or session, or numbers out of range.

    Example:
        >>> subject = simulate_subject("brats", 0, spacing_mm=8.0)
        >>> subject.image.shape, subject.grade
        ((4, 30, 30, 19), 'HGG')
        >>> simulate_subject("wmh", 0, spacing_mm=8.0, session="followup").image.shape
        (2, 23, 27, 23)
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    asked = checked_session(disease, session)
    (subject,) = _simulated(
        disease, index, spacing_mm=spacing_mm, seed=seed, protocol=protocol, sessions=[asked]
    )
    return subject


def simulate_visits(
    disease: str,
    index: int,
    *,
    spacing_mm: float = 1.0,
    seed: int = 0,
    protocol: str | None = None,
) -> list[Subject]:
    """Simulate one subject at each session that it comes to in a cohort.

    Args:
        disease: see :func:`simulate_subject`.
        index: likewise.
        spacing_mm: likewise.
        seed: likewise.
        protocol: likewise.

    Returns:
        What `simulate_subject` gives for each session, its anatomy made once.

    Raises:
        InputError: see :func:`simulate_subject`.

    Example:
        >>> [subject.session for subject in simulate_visits("wmh", 0, spacing_mm=8.0)]
        ['baseline', 'followup']
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    return _simulated(
        disease,
        index,
        spacing_mm=spacing_mm,
        seed=seed,
        protocol=protocol,
        sessions=sessions_of(disease, index),
    )


def simulate_stroke(
    mask: Image,
    *,
    index: int = 0,
    spacing_mm: float = 1.0,
    seed: int = 0,
    protocol: str | None = None,
) -> Subject:
    """Simulate the T1 of a patient whose lesion has a given shape, as of a real one.

    Args:
        mask: lesion over 0, in MNI152 space or one like it, such as Colin27; it is carried into the
            patient by the inverse of the patient's map to the template.
        index: decides about the brain, as in the cohort ``stroke``.
        spacing_mm: edge of a voxel.
        seed: likewise.
        protocol: see :func:`simulate_subject`.

    Returns:
        A subject of ``stroke``, of which the mask takes the place of the lesions.

    Raises:
        InputError: an unknown protocol, numbers out of range, or a mask without a lesion.
    """
    check_request("stroke", spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    (subject,) = _simulated(
        "stroke",
        index,
        spacing_mm=spacing_mm,
        seed=seed,
        protocol=protocol,
        sessions=[None],
        lesion=mask,
    )
    return subject


def _simulated(
    disease: str,
    index: int,
    *,
    spacing_mm: float,
    seed: int,
    protocol: str | None,
    sessions: Sequence[str | None],
    lesion: Image | None = None,
) -> list[Subject]:
    if index < 0:
        raise InputError("simulate", "index", "be 0 or more", got=index)
    body_key, scan_key = np.random.SeedSequence([seed, index, DISEASES.index(disease)]).spawn(2)
    body, scanning = np.random.default_rng(body_key), np.random.default_rng(scan_key)
    if disease == "natural":
        pictures = picture_grid(spacing_mm)
        image, label = draw_pictures(body, pictures)
        return [Subject(disease, index, None, image[np.newaxis], label, pictures, None)]
    grid = GRIDS[disease].respaced(spacing_mm)
    # One thread: sums are then always taken in the same order, and small products do not wait.
    with threadpool_limits(1):
        _, bodies = draw_bodies(
            body, grid, disease=disease, index=index, sessions=sessions, lesion=lesion
        )
        scans = (
            _scans_of_visits(scan_key, bodies, grid)
            if disease == "wmh"
            else [_scan(scanning, bodies[None], disease=disease, protocol=protocol, grid=grid)]
        )
    grade = grade_of(disease, index)
    return [
        Subject(disease, index, grade, *taken, session, _others(bodies[session], grid))
        for session, taken in zip(sessions, scans, strict=True)
    ]


def _others(seen: Seen, grid: Grid) -> dict[str, Labels]:
    """The further labels on the whole grid."""
    mixture, pathology = seen
    return {name: _whole(label, mixture, grid) for name, label in pathology.others.items()}


def _whole(label: Labels, mixture: Mixture, grid: Grid) -> Labels:
    out = np.zeros(grid.shape, np.uint8)
    out[mixture.anatomy.window] = label
    return out


def _scans_of_visits(
    key: np.random.SeedSequence, bodies: Mapping[str | None, Seen], grid: Grid
) -> list[Scan]:
    """What each session gives of one patient, whose tissues stay the same."""
    (first, _), *_ = bodies.values()
    appearance = draw_appearance(
        np.random.default_rng(key),
        first.anatomy,
        names=BRAIN_TISSUES["wmh"],
        field_tesla=VISITS[SESSIONS[0]].field_tesla,
    )
    scans: list[Scan] = []
    for session, source in session_sources(key, bodies).items():
        scanner = draw_visit(source, str(session))
        image, label, slices = scan_on_slices(
            source, bodies[session], appearance, scanner=scanner, grid=grid
        )
        scans.append((image, label, slices, scanner))
    return scans


def _scan(
    rng: np.random.Generator, seen: Seen, *, disease: str, protocol: str | None, grid: Grid
) -> Scan:
    """The stored images and the label on the whole grid; of T1 alone, a volume."""
    mixture, pathology = seen
    modalities = SERIES[disease]
    among = PROTOCOLS if modalities == MODALITIES else VOLUMES
    scanner = draw_scanner(rng, protocol, among=among).only(modalities)
    images = np.zeros((len(modalities), *grid.shape), np.int16)
    images[(slice(None), *mixture.anatomy.window)] = scan(
        rng, mixture, scanner, names=BRAIN_TISSUES[disease]
    )
    return images, _whole(pathology.label, mixture, grid), grid, scanner
