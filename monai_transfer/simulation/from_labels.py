"""A T1 of real anatomy: simulated from a label map like FreeSurfer's."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from threadpoolctl import threadpool_limits

from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array
from monai_transfer.simulation.grid import Grid, Window
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.pathology import Labels
from monai_transfer.simulation.protocols import VOLUMES, draw_scanner
from monai_transfer.simulation.scan import scan
from monai_transfer.simulation.scanner import Scanner
from monai_transfer.simulation.structures import REGION_VALUES, tissue_label
from monai_transfer.simulation.tissues import TISSUES

_SIDES = {
    "white matter": ((2, 41), "wm", "white matter"),
    "cerebral cortex": ((3, 42), "gm", "cortical grey matter"),
    "lateral ventricle": ((4, 43), "csf", "ventricular csf"),
    "inferior lateral ventricle": ((5, 44), "csf", "ventricular csf"),
    "cerebellar white matter": ((7, 46), "wm", "cerebellum"),
    "cerebellar cortex": ((8, 47), "gm", "cerebellum"),
    "thalamus": ((10, 49), "gm", "basal ganglia and thalami"),
    "caudate": ((11, 50), "gm", "basal ganglia and thalami"),
    "putamen": ((12, 51), "gm", "basal ganglia and thalami"),
    "pallidum": ((13, 52), "gm", "basal ganglia and thalami"),
    "hippocampus": ((17, 53), "gm", "cortical grey matter"),
    "amygdala": ((18, 54), "gm", "cortical grey matter"),
    "accumbens": ((26, 58), "gm", "basal ganglia and thalami"),
    "ventral diencephalon": ((28, 60), "wm", "white matter"),
    "third and fourth ventricle": ((14, 15), "csf", "ventricular csf"),
    "brain stem": ((16,), "wm", "brain stem"),
    "fluid": ((24,), "csf", "extracerebral csf"),
}
LABELS: Mapping[int, tuple[str, str, str]] = MappingProxyType(
    {
        value: (name, tissue, region)
        for name, (values, tissue, region) in _SIDES.items()
        for value in values
    }
)
"""FreeSurfer's value → structure, tissue and region; others within the brain take the nearest."""

_IRON = {"pallidum": 1.0, "putamen": 0.45, "caudate": 0.35}
_LIMBIC = ("hippocampus", "amygdala")
# Structures of both tissues: fraction that is white, the thalamus' as in the template's maps.
_WHITE = {"thalamus": 0.45, "brain stem": 0.85, "ventral diencephalon": 0.75}
_PARTIAL_MM = 0.6


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """A T1 and the labels that it was made from; arrays x y z, RAS+, of the same shape.

    Args:
        t1: 0 outside the brain, at least 1 inside.
        tissue: of ``structures.TISSUE_VALUES``.
        regions: of ``structures.REGION_VALUES``.
        affine: voxel index → world mm.
        scanner: the protocol it was 'scanned' with.
    """

    t1: npt.NDArray[np.int16]
    tissue: Labels
    regions: Labels
    affine: npt.NDArray[np.float64]
    scanner: Scanner


def simulate_from_labels(
    labels: Image, *, seed: int = 0, protocol: str | None = None
) -> LabelledScan:
    """Simulate the T1 of a brain whose structures are labelled.

    The folds are then a person's own, not those of an average. Tissue fractions are the labels',
    blurred by 0.6 mm; the nuclei hold iron and the thalamus white matter, as in the cohorts; fluid
    around the brain (24) counts as brain that is seen, and what no brain label is, does not.

    Args:
        labels: FreeSurfer's values, as SynthSeg's, on a grid with equal spacing along all axes.
        seed: of protocol, tissues, bias field and noise.
        protocol: name of a protocol; ``None`` draws one with a T1 volume.

    Returns:
        The scan on the labels' grid, cut to the brain.

    Raises:
        InputError: an unequal or oblique grid, a map without white or grey matter, or an unknown
            protocol.

    Source:
        Images from label maps: Billot et al., Med Image Anal 2023;86:102789 (SynthSeg), which
        draws the intensities; here they follow from the signal equation.
    """
    volume, grid, window = _brain_box(labels)
    anatomy = _anatomy(volume, grid, window)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    with threadpool_limits(1):
        scanner = draw_scanner(rng, protocol, among=VOLUMES).only(("t1",))
        mixture = Mixture(anatomy, rng)
        (t1,) = scan(rng, mixture, scanner, names=TISSUES)
    lookup = np.zeros(int(volume.max()) + 1, np.uint8)
    for value, (_, _, region) in LABELS.items():
        if value < len(lookup):
            lookup[value] = REGION_VALUES[region]
    return LabelledScan(t1, tissue_label(anatomy), lookup[volume], grid.affine, scanner)


def _brain_box(labels: Image) -> tuple[npt.NDArray[np.int32], Grid, Window]:
    """The map in RAS+, cut to the brain, gaps filled with the nearest label, 0 outside."""
    stored = nib.as_closest_canonical(
        nib.Nifti1Image(np.asarray(labels.voxels).astype(np.int32), labels.affine)
    )
    spacing = stored.header.get_zooms()[0]
    if not np.allclose(stored.affine[:3, :3], np.eye(3) * spacing, atol=1e-3 * spacing):
        rule = "lie on a grid with axes of the world and equal spacing"
        raise InputError("simulate", "label map", rule, got=np.round(stored.affine[:3, :3], 3))
    volume = np.asarray(stored.dataobj, np.int32)
    known = np.isin(volume, list(LABELS))
    tissues = {LABELS[int(value)][1] for value in np.unique(volume[known])}
    if not {"wm", "gm"} <= tissues:
        rule = "hold white and grey matter by FreeSurfer's values (2, 3, 41, 42, …)"
        raise InputError("simulate", "label map", rule, got=np.unique(volume).tolist()[:20])
    x, y, z = ndimage.find_objects(known.astype(np.uint8))[0]
    volume, known = volume[x, y, z], known[x, y, z]
    brain = ndimage.binary_fill_holes(known)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = np.where(brain, volume[tuple(nearest)], 0).astype(np.int32)
    corner = stored.affine[:3, 3] + spacing * np.array([x.start, y.start, z.start])
    a, b, c = (float(v) for v in corner)
    grid = Grid(filled.shape, float(spacing), (a, b, c))
    window = tuple(slice(0, n) for n in filled.shape)
    return filled, grid, (window[0], window[1], window[2])


def _anatomy(volume: npt.NDArray[np.int32], grid: Grid, window: Window) -> Anatomy:
    """Tissue fractions and structures of a label map."""
    brain = volume > 0

    def blurred(values: list[int]) -> Array:
        inside = np.isin(volume, values).astype(np.float32)
        out: Array = ndimage.gaussian_filter(inside, _PARTIAL_MM / grid.spacing_mm)
        return out

    def named(name: str) -> Array:
        return blurred([value for value, row in LABELS.items() if row[0] == name])

    parts = {
        tissue: blurred([value for value, row in LABELS.items() if row[1] == tissue])
        for tissue in ("gm", "wm", "csf")
    }
    for name, white in _WHITE.items():
        moved = named(name) * np.float32(white - (_SIDES[name][1] == "wm"))
        parts["wm"] += moved
        parts["gm"] -= moved
    total = np.maximum(sum(parts.values()), np.float32(1e-6))
    gm, wm, csf = (
        np.where(brain, np.clip(part, 0.0, None) / total, 0.0).astype(np.float32)
        for part in parts.values()
    )
    ventricles = [value for value, row in LABELS.items() if row[2] == "ventricular csf"]
    inner = np.isin(volume, ventricles)
    away = ndimage.distance_transform_edt(~inner, sampling=grid.spacing_mm).astype(np.float32)
    none = np.zeros(volume.shape, np.float32)
    iron: Array = np.zeros_like(none)
    for name, weight in _IRON.items():
        iron += np.float32(weight) * named(name)
    structures = {
        "iron": iron,
        "limbic": named(_LIMBIC[0]) + named(_LIMBIC[1]),
        "choroid": none,
        "sinus": none,
    }
    return Anatomy(grid, window, brain, gm, wm, csf, away, structures)
