"""Whether an image is what a recipe's preparation makes: noticed before a model guesses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from nibabel.affines import voxel_sizes

from monai_transfer._types import Affine, Mask, RawChannels
from monai_transfer.imaging.brain import LARGEST_BRAIN_ML
from monai_transfer.imaging.mni152 import CENTRE_MM
from monai_transfer.imaging.modality_order import exchanged_modalities
from monai_transfer.imaging.nyul import StandardScale, landmarks
from monai_transfer.imaging.recipe import Preparation, Recipe

_STEP = 2  # of the voxels looked at, along each axis
_SPACING = 0.05  # share that an edge may be off
_FEWEST_ZEROS = 0.25  # a brain fills about half of its own box
_MOST_NEGATIVE = 0.05  # interpolation undershoots in 1 % of the brain at most
_FARTHEST_MM = 30.0
_LARGEST_TURN = 1.0  # degrees


class Finding(NamedTuple):
    """What shows that an image was not prepared as a recipe says.

    Args:
        told: a clause with the value.
        sure: the image cannot be what the recipe makes; else it is only unlike what it makes, and
            a model that is robust to that may do well on it.
    """

    told: str
    sure: bool


def check_prepared(
    image: RawChannels,
    affine: Affine,
    *,
    recipe: Recipe,
    scale: StandardScale | None = None,
    modalities: Sequence[str] = (),
) -> list[Finding]:
    """What shows that an image was not prepared as a recipe says; empty if nothing does.

    Orientation is not among it: every order of storage is turned to RAS+ when loaded.

    Args:
        image: channels of one subject, as stored; every second voxel along each axis is looked at.
        affine: voxel index → world mm, RAS+.
        recipe: with the preparation.
        scale: Nyúl's, of the source's cohort, which tells modalities apart; ``None``: they are not.
        modalities: name of each channel, with a scale.

    Returns:
        A finding for each fault. Voxels of another size and a brain that is not extracted are
        sure; negative values, the place in the world and exchanged modalities are judged by rule
        of thumb, and are not.

    Source:
        Ours; the bounds are wide, so that what is named is wrong.

    Example:
        >>> from monai_transfer.imaging.papers import GL20
        >>> head = np.full((1, 90, 90, 60), 7.0)
        >>> for finding in check_prepared(head, np.diag([2.0, 2, 3, 1]), recipe=GL20):
        ...     print(finding.told)
        voxels of 2×2×3 mm, not 1×1×1 mm
        0 % of the voxels are 0: the brain is not extracted
    """
    seen = image[:, ::_STEP, ::_STEP, ::_STEP]
    inside: Mask = (seen != 0).any(axis=0)
    wanted = recipe.preparation
    faults = _spacing(affine, wanted)
    if wanted.brain_extraction:
        faults += _extraction(seen, inside, affine)
    if wanted.space == "mni152":
        faults += _space(inside, affine, wanted)
    if scale is not None and wanted.brain_extraction and inside.any():
        own = landmarks(seen, inside)
        pairs = exchanged_modalities(own, scale=scale, modalities=modalities)
        faults += [Finding(pair, sure=False) for pair in pairs]
    return faults


def _spacing(affine: Affine, wanted: Preparation) -> list[Finding]:
    if wanted.spacing_mm is None:
        return []
    # of the stored axes, whichever lies along x: compared in rising order
    found, rule = sorted(voxel_sizes(affine)), sorted(wanted.spacing_mm)
    if np.allclose(found, rule, rtol=_SPACING):
        return []
    named = ("×".join(f"{edge:.3g}" for edge in edges) for edges in (found, rule))
    return [Finding("voxels of {} mm, not {} mm".format(*named), sure=True)]


def _extraction(seen: RawChannels, inside: Mask, affine: Affine) -> list[Finding]:
    zeros = 1 - inside.mean()
    if zeros < _FEWEST_ZEROS:
        told = f"{100 * zeros:.0f} % of the voxels are 0: the brain is not extracted"
        return [Finding(told, sure=True)]
    faults = []
    volume_ml = inside.sum() * _STEP**3 * abs(np.linalg.det(affine[:3, :3])) / 1000
    if volume_ml > LARGEST_BRAIN_ML:
        faults.append(Finding(f"{volume_ml:.0f} mL are not 0: more than a brain", sure=True))
    negative = max(((channel < 0).sum() / max(1, inside.sum()) for channel in seen), default=0.0)
    if negative > _MOST_NEGATIVE:
        told = f"{100 * negative:.0f} % of the brain are below 0, where 0 is the background"
        faults.append(Finding(told, sure=False))
    return faults


def _space(inside: Mask, affine: Affine, wanted: Preparation) -> list[Finding]:
    directions = affine[:3, :3] / voxel_sizes(affine)
    nearest = np.abs(directions).max(axis=0)
    turn = float(np.degrees(np.arccos(nearest.clip(-1, 1))).max())
    if turn > _LARGEST_TURN:
        told = f"axes turned by {turn:.0f}° from the template's: not in MNI space"
        return [Finding(told, sure=False)]
    if not wanted.brain_extraction or not inside.any():
        return []
    centre = affine[:3, :3] @ (_STEP * np.argwhere(inside).mean(axis=0)) + affine[:3, 3]
    if np.linalg.norm(centre - CENTRE_MM) <= _FARTHEST_MM:
        return []
    at, usual = (", ".join(f"{mm:.0f}" for mm in point) for point in (centre, CENTRE_MM))
    told = f"the brain's centre at ({at}) mm, not near ({usual}): not in MNI space"
    return [Finding(told, sure=False)]
