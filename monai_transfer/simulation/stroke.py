"""Ischaemic stroke, weeks to years old: how many infarcts, how large, where, and of what tissue."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.simulation.anatomy import Anatomy, Mask
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.infarcts import Place, score_infarct
from monai_transfer.simulation.pathology import Pathology, soft_step, threshold_for_volume
from monai_transfer.simulation.template import Points, column
from monai_transfer.simulation.territories import KINDS
from monai_transfer.simulation.tissues import STROKE_TISSUES

_RANGE_ML = (0.01, 284.0)
_SUBACUTE = 0.25  # of patients
_FURTHER = 0.7  # lesions beside the primary one, on average
_APART_MM = 6.0
_AROUND = 8  # voxels around a given mask


@dataclass(frozen=True)
class Infarct:
    """One lesion to be drawn.

    Args:
        kind: of ``territories.KINDS``.
        volume_ml: of the lesion.
    """

    kind: str
    volume_ml: float


def draw_infarcts(rng: np.random.Generator) -> list[Infarct]:
    """The lesions of one patient, the primary one first.

    Source: ATLAS (Liew et al., Sci Data 2018;5:180011 and 2022;9:320): volumes from 0.01 to 284
        mL in release 1, a mean of 21 mL (both from memory), a median of 5 mL in release 2. Shares
        and medians of the kinds are ours, set so that volumes have this median and mean, and so is
        how many lesions there are.

    Example:
        >>> infarcts = draw_infarcts(np.random.default_rng(0))
        >>> infarcts[0].volume_ml == max(infarct.volume_ml for infarct in infarcts)
        True
    """
    count = 1 + min(int(rng.poisson(_FURTHER)), 5)
    names = list(KINDS)
    shares = np.array([KINDS[name].share for name in names])
    infarcts: list[Infarct] = []
    left_ml = _RANGE_ML[1]
    for _ in range(count):
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        kind = KINDS[name]
        factor = 1.0 if not infarcts else 0.3  # the others are smaller
        volume = factor * rng.lognormal(np.log(kind.median_ml), kind.log_sigma)
        infarcts.append(Infarct(name, float(np.clip(volume, _RANGE_ML[0], max(left_ml, 0.01)))))
        left_ml -= infarcts[-1].volume_ml
    return sorted(infarcts, key=lambda infarct: -infarct.volume_ml)


def draw_stroke(rng: np.random.Generator, anatomy: Anatomy, *, template_mm: Points) -> Pathology:
    """The infarcts of one patient.

    Args:
        rng: source of randomness.
        anatomy: the brain they lie in.
        template_mm: (3, x, y, z) template position of each of its voxels.

    Returns:
        Subacute infarct, or cavity and gliosis, as fractions; label 1 in every lesion, primary and
        secondary ones alike.
    """
    canvas = _Canvas(rng, anatomy, template_mm)
    for infarct in draw_infarcts(rng):
        canvas.paint(infarct)
    return canvas.finish()


def stroke_of_mask(
    rng: np.random.Generator, anatomy: Anatomy, *, template_mm: Points, mask: Image
) -> Pathology:
    """A lesion whose shape is given, in the template's space, as of a real patient.

    Args:
        rng: source of randomness, for the age of the lesion and its texture.
        anatomy: the brain it goes into.
        template_mm: (3, x, y, z) template position of each of its voxels.
        mask: lesion over 0, in MNI152 space or one like it, such as Colin27.

    Returns:
        See :func:`draw_stroke`.

    Raises:
        InputError: a mask without a lesion in it.
    """
    inside = np.asarray(mask.voxels) > 0
    if not inside.any() or inside.all():
        raise InputError("simulate", "lesion mask", "hold some lesion and some background")
    box = ndimage.find_objects(inside.astype(np.uint8))[0]
    inside = np.pad(inside[box], _AROUND)
    spacing = mask.spacing_mm
    outwards = ndimage.distance_transform_edt(~inside, sampling=spacing)
    signed = ndimage.distance_transform_edt(inside, sampling=spacing) - outwards
    to_voxel = np.linalg.inv(mask.affine)
    first = to_voxel[:3, 3] - [side.start - _AROUND for side in box]
    at = np.tensordot(to_voxel[:3, :3], template_mm, axes=1) + column(first, 4)
    depth_mm = ndimage.map_coordinates(
        signed.astype(np.float32), at.astype(np.float32), order=1, mode="nearest"
    )
    canvas = _Canvas(rng, anatomy, template_mm)
    canvas.blend(depth_mm[canvas.tissue])
    return canvas.finish()


class _Canvas:
    """Infarcts under construction, in the voxels where brain is or was."""

    def __init__(self, rng: np.random.Generator, anatomy: Anatomy, template_mm: Points) -> None:
        self._rng, self._anatomy = rng, anatomy
        shape, spacing = anatomy.grid.shape, anatomy.grid.spacing_mm
        self.tissue = _tissue(anatomy)
        broad, rough = (
            smooth_field(rng, shape, spacing_mm=spacing, scale_mm=scale)[self.tissue]
            for scale in (9.0, 3.0)
        )
        self._place = Place(
            template_mm=template_mm[:, self.tissue],
            grey=anatomy.gm[self.tissue],
            broad=broad,
            rough=rough,
        )
        self._taken = np.zeros(shape, bool)
        self._inside = np.zeros(len(broad), np.float32)
        self._parts = {name: np.zeros(len(broad), np.float32) for name in STROKE_TISSUES}
        self._subacute = bool(rng.uniform() < _SUBACUTE)
        self._cavitation = float(rng.uniform(0.6, 1.0))

    def paint(self, infarct: Infarct) -> None:
        """One lesion, apart from those before it."""
        score = score_infarct(self._rng, self._place, infarct.kind, volume_ml=infarct.volume_ml)
        if self._taken.any():
            spacing = self._anatomy.grid.spacing_mm
            apart = ndimage.distance_transform_edt(~self._taken, sampling=spacing)
            score = np.where(apart[self.tissue] > _APART_MM, score, np.float32(-1e6))
        possible = score > -1e5
        voxels = max(1.0, 1000.0 * infarct.volume_ml / self._anatomy.grid.voxel_mm3)
        limit = threshold_for_volume(score[possible], min(voxels, 0.9 * float(possible.sum())))
        if np.isfinite(limit):
            self.blend(score - np.float32(limit))

    def blend(self, depth_mm: Array) -> None:
        """Mix in a lesion, given how deep inside it each voxel lies."""
        edge_mm = max(2.0, self._anatomy.grid.spacing_mm)
        inside = soft_step(depth_mm, edge_mm)
        self._taken[self.tissue] |= depth_mm > 0
        if self._subacute:
            shares = {"infarct": 0.95 * inside}
        else:
            rim_mm = min(float(self._rng.uniform(1.0, 3.5)), 0.3 * float(depth_mm.max()))
            cavity = soft_step(depth_mm - np.float32(rim_mm) + self._place.rough, 2.0)
            cavity *= np.float32(self._cavitation) * inside
            scar = np.clip(1.0 + depth_mm / np.float32(3.0), 0.0, 1.0)  # thins out around it
            shares = {"cavity": cavity, "gliosis": np.maximum(inside, 0.4 * scar) - cavity}
        total: Array = np.sum(list(shares.values()), axis=0)
        for name, part in self._parts.items():
            self._parts[name] = part * (1.0 - total) + shares.get(name, np.float32(0.0))
        np.maximum(self._inside, inside, out=self._inside)

    def finish(self) -> Pathology:
        """Fractions and label on the anatomy's grid."""
        label = self._placed(self._inside) > 0.5
        fractions = {name: self._placed(part) for name, part in self._parts.items()}
        return Pathology(fractions, label.astype(np.uint8))

    def _placed(self, values: Array) -> Array:
        out = np.zeros(self.tissue.shape, np.float32)
        out[self.tissue] = values
        return out


def _tissue(anatomy: Anatomy) -> Mask:
    """Brain tissue with the sulci between it: neither ventricles nor fluid over the surface."""
    solid = np.where(anatomy.brain, 1.0 - anatomy.csf, 0.0).astype(np.float32)
    around = ndimage.uniform_filter(solid, max(1, round(9.0 / anatomy.grid.spacing_mm)))
    ventricle = (anatomy.ventricle_mm < 2.0) & (anatomy.csf > 0.5)
    mask: npt.NDArray[np.bool_] = anatomy.brain & ~ventricle & ((around > 0.5) | (solid > 0.5))
    return mask
