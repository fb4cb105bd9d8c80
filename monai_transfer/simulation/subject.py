"""One simulated subject, as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError, choice
from monai_transfer.simulation.anatomy import Anatomy, realise, scout
from monai_transfer.simulation.deformation import Warp, draw_warp
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.glioma import draw_glioma, plan_glioma
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.ms import draw_ms
from monai_transfer.simulation.pathology import Labels, Pathology
from monai_transfer.simulation.protocols import PROTOCOLS, draw_scanner
from monai_transfer.simulation.scanner import MODALITIES, Scanner, draw_bias, form_image
from monai_transfer.simulation.tissues import TISSUES, Tissue, tissue

Texture: TypeAlias = tuple[Array, Array]

DISEASES = ("ms", "brats")
"""The cohorts that can be simulated."""

GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        # MNI152 at 1 mm, and the SRI24 grid of BraTS; RAS+ (files are stored as the real ones are).
        "ms": Grid((182, 218, 182), 1.0, (-91.0, -126.0, -72.0)),
        "brats": Grid((240, 240, 155), 1.0, (-239.0, 0.0, 0.0)),
    }
)
_CENTRES_MM = MappingProxyType({"ms": (0.0, -21.0, 10.5), "brats": (-119.0, 106.0, 74.0)})
_HGG, _ALL = 210, 285  # BraTS 2018, training set


@dataclass(frozen=True)
class Subject:
    """A simulated subject; arrays x y z, RAS+.

    Args:
        disease: ``ms`` or ``brats``.
        index: position in the cohort.
        grade: ``HGG`` or ``LGG``; ``None`` for multiple sclerosis.
        image: (4, x, y, z) t1, t1c, t2, flair; 0 outside the brain, at least 1 inside.
        label: (x, y, z) lesion 1, or BraTS' 1, 2, 4.
        grid: geometry of the arrays.
        scanner: the protocol the subject was 'scanned' with.
    """

    disease: str
    index: int
    grade: str | None
    image: npt.NDArray[np.int16]
    label: Labels
    grid: Grid
    scanner: Scanner


def grade_of(index: int) -> str:
    """Grade of the `index`-th subject of a glioma cohort, 210 HGG to 75 LGG, evenly mixed.

    Example:
        >>> [grade_of(i) for i in range(5)]
        ['HGG', 'LGG', 'HGG', 'HGG', 'HGG']
    """
    share = (_ALL - _HGG) / _ALL
    return "LGG" if int((index + 1) * share + 0.5) > int(index * share + 0.5) else "HGG"


def simulate_subject(
    disease: str,
    index: int,
    *,
    spacing_mm: float = 1.0,
    seed: int = 0,
    protocol: str | None = None,
) -> Subject:
    """Simulate one subject: anatomy, pathology, and four images of it.

    Args:
        disease: ``ms`` or ``brats``.
        index: position in the cohort; with the seed it determines everything.
        spacing_mm: edge of a voxel.
        seed: of the cohort.
        protocol: name of a protocol; ``None`` draws one for the subject.

    Returns:
        The subject.

    Raises:
        InputError: for an unknown disease or protocol, or numbers out of range.

    Example:
        >>> subject = simulate_subject("brats", 0, spacing_mm=8.0)
        >>> subject.image.shape, subject.grade
        ((4, 30, 30, 19), 'HGG')
    """
    check_request(disease, spacing_mm=spacing_mm, seed=seed, protocol=protocol)
    if index < 0:
        raise InputError("simulate", "index", "be 0 or more", got=index)
    key = np.random.SeedSequence([seed, index, DISEASES.index(disease)])
    body, scan = (np.random.default_rng(k) for k in key.spawn(2))
    scanner = draw_scanner(scan, protocol)
    grid = GRIDS[disease].respaced(spacing_mm)
    grade = grade_of(index) if disease == "brats" else None
    # One thread: sums are then always taken in the same order, and small products do not wait.
    with threadpool_limits(1):
        _, mixture, pathology = draw_body(body, grid, disease=disease, grade=grade)
        anatomy = mixture.anatomy
        images = _scan(scan, mixture, scanner)
    image = np.zeros((len(MODALITIES), *grid.shape), np.int16)
    label = np.zeros(grid.shape, np.uint8)
    for whole, part in zip(image, images, strict=True):
        whole[anatomy.window] = part
    label[anatomy.window] = pathology.label
    return Subject(disease, index, grade, image, label, grid, scanner)


def check_request(disease: str, *, spacing_mm: float, seed: int, protocol: str | None) -> None:
    """Refuse what cannot be simulated.

    Raises:
        InputError: for an unknown disease or protocol, or numbers out of range.
    """
    if disease not in DISEASES:
        raise choice("simulate", "disease", disease, DISEASES)
    if protocol is not None and protocol not in PROTOCOLS:
        raise choice("simulate", "protocol", protocol, PROTOCOLS)
    if not 0.5 <= spacing_mm <= 10.0:
        raise InputError("simulate", "spacing_mm", "lie between 0.5 and 10", got=spacing_mm)
    if seed < 0:
        raise InputError("simulate", "seed", "be 0 or more", got=seed)


def draw_body(
    rng: np.random.Generator, grid: Grid, *, disease: str, grade: str | None
) -> tuple[Warp, Mixture, Pathology]:
    """A brain with its pathology mixed in, and the warp from it to the template."""
    brain_ml = float(np.clip(rng.normal(1260.0, 95.0), 1050.0, 1460.0))
    warp = draw_warp(rng, _CENTRES_MM[disease], brain_ml=brain_ml)
    if grade is None:
        anatomy = realise(rng, warp, grid=grid)
        pathology = draw_ms(rng, anatomy)
    else:
        plan = plan_glioma(rng, scout(warp, grid), grade=grade)
        anatomy = realise(rng, warp.pushed(plan.push), grid=grid)
        pathology = draw_glioma(rng, anatomy, plan=plan)
    mixture = Mixture(anatomy, rng)
    mixture.mix_in(pathology.fractions)
    return warp, mixture, pathology


def _scan(
    rng: np.random.Generator, mixture: Mixture, scanner: Scanner
) -> list[npt.NDArray[np.int16]]:
    """The four stored images on the anatomy's part of the grid."""
    anatomy = mixture.anatomy
    tissues = {name: tissue(name, scanner.field_tesla).drawn(rng) for name in TISSUES}
    textures = draw_textures(rng, anatomy)
    images = []
    for modality, sequence in scanner.sequences.items():
        see = scanner.seeing(modality)
        white, fluid = see(tissues["wm"]), see(tissues["csf"])
        # Outside the brain lies some fluid: a slice at the surface shares in its surroundings.
        ideal = np.full(anatomy.grid.shape, 0.35 * fluid, np.float32)
        ideal[anatomy.brain] = ideal_signal(mixture, textures, see=see, tissues=tissues)
        image = form_image(
            rng,
            ideal,
            sequence=sequence,
            scanner=scanner,
            bias=draw_bias(rng, anatomy, cv=scanner.bias_cv),
            spacing_mm=anatomy.grid.spacing_mm,
            reference=white,
        )
        image *= np.float32(scanner.gain * np.exp(rng.normal(0.0, 0.4)) / white)
        stored = np.clip(np.rint(image), 1, np.iinfo(np.int16).max).astype(np.int16)
        images.append(np.where(anatomy.brain, stored, np.int16(0)))
    return images


def ideal_signal(
    mixture: Mixture,
    textures: Mapping[str, Texture],
    *,
    see: Callable[[Tissue], float],
    tissues: Mapping[str, Tissue],
) -> Array:
    """Signal of each voxel of the brain: its tissues, each a little off the patient's own."""
    total = np.zeros_like(mixture.fractions["wm"])
    for name, fraction in mixture.fractions.items():
        own = tissues[name]
        level = np.float32(see(own))
        wetter = np.float32(see(own.scaled(1.0 + own.texture))) - level
        slower = np.float32(see(own.decaying(1.0 + own.t2_texture))) - level
        water, decay = textures.get(name, textures["other"])
        total += fraction * (level + wetter * water + slower * decay)
    return total


def draw_textures(rng: np.random.Generator, anatomy: Anatomy) -> dict[str, Texture]:
    """How far water (T1 and T2) and T2 alone are off nominal, in units of a tissue's texture."""
    shape, spacing = anatomy.grid.shape, anatomy.grid.spacing_mm

    def mixed(*scales: tuple[float, float]) -> Array:
        field = sum(
            weight * smooth_field(rng, shape, spacing_mm=spacing, scale_mm=scale)
            for scale, weight in scales
        )
        return np.asarray(field, np.float32)[anatomy.brain]

    # The ependymal rim of FLAIR: white matter along the ventricles holds more free water.
    near = anatomy.ventricle_mm[anatomy.brain]
    rim = float(rng.uniform(1.0, 3.5)) * np.exp(-near / np.float32(rng.uniform(1.0, 2.5)))
    # Limbic cortex holds less myelin and iron: T2 alone is longer, or T1 would undo it on FLAIR.
    limbic = np.float32(rng.uniform(0.5, 2.0)) * anatomy.structures["limbic"][anatomy.brain]
    decay = mixed((18.0, 0.7), (5.0, 0.7))
    return {
        "wm": (mixed((25.0, 0.7), (7.0, 0.5), (2.5, 0.5)) + rim.astype(np.float32), decay),
        "gm": (mixed((20.0, 0.6), (5.0, 0.8)), decay + limbic),
        "csf": (mixed((12.0, 0.7), (4.0, 0.7)), decay),
        "other": (mixed((9.0, 0.7), (3.0, 0.7)), decay),
    }
