"""One simulated subject, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError, choice
from monai_transfer.simulation.appearance import draw_appearance, ideal_volume
from monai_transfer.simulation.body import (
    BRAIN_TISSUES,
    DISEASES,
    GRIDS,
    RAW,
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
from monai_transfer.simulation.scanner import MODALITIES, Scanner, draw_bias, form_image
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
        label: (x, y, z) lesion 1, or BraTS' 1, 2, 4; of ``tissue`` and ``anatomy`` the values of
            :mod:`~monai_transfer.simulation.structures`, of ``natural`` those of
            :mod:`~monai_transfer.simulation.pictures`.
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


def _simulated(
    disease: str,
    index: int,
    *,
    spacing_mm: float,
    seed: int,
    protocol: str | None,
    sessions: Sequence[str | None],
) -> list[Subject]:
    if index < 0:
        raise InputError("simulate", "index", "be 0 or more", got=index)
    body_key, scan_key = np.random.SeedSequence([seed, index, DISEASES.index(disease)]).spawn(2)
    body, scan = np.random.default_rng(body_key), np.random.default_rng(scan_key)
    if disease == "natural":
        pictures = picture_grid(spacing_mm)
        image, label = draw_pictures(body, pictures)
        return [Subject(disease, index, None, image[np.newaxis], label, pictures, None)]
    grid = GRIDS[disease].respaced(spacing_mm)
    # One thread: sums are then always taken in the same order, and small products do not wait.
    with threadpool_limits(1):
        _, bodies = draw_bodies(body, grid, disease=disease, index=index, sessions=sessions)
        scans = (
            _scans_of_visits(scan_key, bodies, grid)
            if disease == "wmh"
            else [_scan(scan, bodies[None], _draw_protocol(scan, disease, protocol), grid)]
        )
    grade = grade_of(index) if disease == "brats" else None
    return [
        Subject(disease, index, grade, *scan, session, _others(bodies[session], grid))
        for session, scan in zip(sessions, scans, strict=True)
    ]


def _draw_protocol(rng: np.random.Generator, disease: str, protocol: str | None) -> Scanner:
    """The scanner of a subject with the series of its cohort; of T1 alone, a volume."""
    modalities = SERIES[disease]
    among = PROTOCOLS if modalities == MODALITIES else VOLUMES
    return draw_scanner(rng, protocol, among=among).only(modalities)


def _others(seen: Seen, grid: Grid) -> dict[str, Labels]:
    """The further labels on the whole grid."""
    mixture, pathology = seen
    return {name: _whole(label, mixture, grid) for name, label in pathology.others.items()}


def _whole(label: Labels, mixture: Mixture, grid: Grid) -> Labels:
    out = np.zeros(grid.shape, np.uint8)
    out[mixture.anatomy.window] = label
    return out


def checked_session(disease: str, session: str | None) -> str | None:
    """The session that is meant.

    Raises:
        InputError: one that the disease does not have.
    """
    if disease != "wmh":
        if session is not None:
            raise InputError("simulate", "session", f"be left out for {disease}", got=session)
        return None
    if session is not None and session not in SESSIONS:
        raise choice("simulate", "session", session, SESSIONS)
    return session or SESSIONS[0]


def check_request(
    disease: str, *, spacing_mm: float, seed: int, protocol: str | None, raw: bool = False
) -> None:
    """Refuse what cannot be simulated.

    Raises:
        InputError: for an unknown disease or protocol, raw scans of a cohort that has none, or
            numbers out of range.
    """
    if disease not in DISEASES:
        raise choice("simulate", "disease", disease, DISEASES)
    if raw and disease not in RAW:
        rule = f"be left out for {disease}, which there is prepared only"
        todo = f"Of {', '.join(RAW)} there are raw scans."
        raise InputError("simulate", "raw", rule, todo=todo)
    if protocol is not None and disease == "natural":
        rule = "be left out for natural, whose pictures have no scanner"
        raise InputError("simulate", "protocol", rule, got=protocol)
    if protocol is not None and protocol not in PROTOCOLS:
        raise choice("simulate", "protocol", protocol, PROTOCOLS)
    if protocol is not None and disease == "wmh":
        rule = "be left out for wmh, whose sessions have their own"
        raise InputError("simulate", "protocol", rule, got=protocol)
    if not 0.5 <= spacing_mm <= 10.0:
        raise InputError("simulate", "spacing_mm", "lie between 0.5 and 10", got=spacing_mm)
    if seed < 0:
        raise InputError("simulate", "seed", "be 0 or more", got=seed)


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


def _scan(rng: np.random.Generator, seen: Seen, scanner: Scanner, grid: Grid) -> Scan:
    """The stored images and the label on the whole grid."""
    mixture, pathology = seen
    anatomy = mixture.anatomy
    appearance = draw_appearance(
        rng, anatomy, names=tuple(mixture.fractions), field_tesla=scanner.field_tesla
    )
    images = np.zeros((len(scanner.sequences), *grid.shape), np.int16)
    label = _whole(pathology.label, mixture, grid)
    for whole, (modality, sequence) in zip(images, scanner.sequences.items(), strict=True):
        see = scanner.seeing(modality)
        white = see(appearance.tissues["wm"])
        image = form_image(
            rng,
            ideal_volume(mixture, appearance, see=see),
            sequence=sequence,
            scanner=scanner,
            bias=draw_bias(rng, anatomy, cv=scanner.bias_cv),
            spacing_mm=anatomy.grid.spacing_mm,
            reference=white,
        )
        image *= np.float32(scanner.gain * np.exp(rng.normal(0.0, 0.4)) / white)
        stored = np.clip(np.rint(image), 1, np.iinfo(np.int16).max).astype(np.int16)
        whole[anatomy.window] = np.where(anatomy.brain, stored, np.int16(0))
    return images, label, grid, scanner
