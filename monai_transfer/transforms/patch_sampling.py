"""Which voxels patches are drawn at, and all patches of a batch cut out in one step."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.utils import convert_to_tensor
from numpy.typing import NDArray

from monai_transfer._types import LabelMap, Mask
from monai_transfer.errors import InputError


class Candidates(NamedTuple):
    """Voxels of one subject that a patch may be centred on, as positions in its flattened grid."""

    shape: tuple[int, int, int]
    lesion: NDArray[np.int32]
    classes: NDArray[np.int32]
    """Class index of each lesion voxel."""
    healthy: NDArray[np.int32]
    """Voxels of the brain that are not lesion."""


def find_candidates(label: LabelMap, brain: Mask) -> Candidates:
    """Look a subject's lesion voxels and healthy voxels up, once.

    Args:
        label: class indices; what is not 0 is lesion.
        brain: where a healthy voxel may be; a lesion voxel counts wherever it is.

    Example:
        >>> label, brain = np.zeros((2, 1, 3), int), np.ones((2, 1, 3), bool)
        >>> label[0, 0, 1], brain[1, 0, 2] = 1, False
        >>> found = find_candidates(label, brain)
        >>> found.lesion.tolist(), found.healthy.tolist()
        ([1], [0, 2, 3, 4])
    """
    lesion = np.flatnonzero(label)
    healthy = np.flatnonzero(brain & (label == 0))
    positions = lesion.astype(np.int32), healthy.astype(np.int32)
    x, y, z = label.shape
    classes = label.ravel()[lesion].astype(np.int32)
    return Candidates((x, y, z), positions[0], classes, positions[1])


def lesion_count(candidates: Candidates, fraction: float) -> int:
    """Lesion voxels that are drawn: that fraction of all, rounded up.

    Raises:
        InputError: there are not as many healthy voxels.

    Example:
        >>> some = find_candidates(np.eye(5, dtype=int)[None], np.ones((1, 5, 5), bool))
        >>> lesion_count(some, 0.25)
        2
    """
    # as it is written: 0.1 of 30 is 3, and not 4 because 0.1 * 30 exceeds 3
    count = math.ceil(Fraction(str(fraction)) * candidates.lesion.size)
    if count > candidates.healthy.size:
        rule = f"hold at least {count} voxels without lesion, as many as lesion voxels are drawn"
        raise InputError("subject", "brain", rule, got=candidates.healthy.size)
    return count


def draw_centres(
    candidates: Candidates, *, lesion_fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Draw a fraction of a subject's lesion voxels, and as many healthy ones, each at most once.

    Args:
        candidates: of the subject.
        lesion_fraction: of all lesion voxels, in (0, 1], see :func:`lesion_count`.
        rng: source of randomness.

    Returns:
        Centres (3, 2·count), the lesion voxels first, and the class index of each; none of a
        subject without lesion.

    Source:
        Ghafoorian 2017, section 2.2: 25 % of all voxels within the lesion masks, and the same
        number of negatives from the normal-appearing voxels inside the brain mask. Rounding is
        ours.

    Example:
        >>> some = find_candidates(np.eye(4, dtype=int)[None], np.ones((1, 4, 4), bool))
        >>> rng = np.random.default_rng(0)
        >>> centres, classes = draw_centres(some, lesion_fraction=0.5, rng=rng)
        >>> centres.shape, classes.tolist(), (centres[1] == centres[2]).tolist()
        ((3, 4), [1, 1, 0, 0], [True, True, False, False])
    """
    count = lesion_count(candidates, lesion_fraction)
    chosen = rng.choice(candidates.lesion.size, count, replace=False, shuffle=False)
    others = rng.choice(candidates.healthy.size, count, replace=False, shuffle=False)
    positions = np.concatenate([candidates.lesion[chosen], candidates.healthy[others]])
    classes = np.concatenate([candidates.classes[chosen], np.zeros(count, np.int32)])
    return np.stack(np.unravel_index(positions, candidates.shape)), classes


class PaddedVolumes(NamedTuple):
    """Images of several subjects, of any sizes, in one row of voxels.

    Each lies there as (z, channel, y, x), so that a line of a patch along x is contiguous, with
    zeros around it in the plane. Distances are in voxels, one per subject.
    """

    voxels: torch.Tensor
    margin: int
    channels: int
    offset: torch.Tensor
    """Of each subject's first voxel."""
    line: torch.Tensor
    """From one y to the next."""
    plane: torch.Tensor
    """From one channel to the next."""


def pad_volumes(
    images: Sequence[torch.Tensor], *, margin: int, device: torch.device
) -> PaddedVolumes:
    """Copy images to a device, each padded by zeros in the plane.

    Args:
        images: (channel, x, y, z) each, with the same number of channels.
        margin: voxels before and after x and y.
        device: that holds the copy, float32.

    Example:
        >>> pad_volumes([torch.ones(2, 3, 5, 4)], margin=1, device=torch.device("cpu")).line
        tensor([5])
    """
    shapes = torch.tensor([image.shape for image in images])
    channels = int(shapes[0, 0])
    line = shapes[:, 1] + 2 * margin
    plane = line * (shapes[:, 2] + 2 * margin)
    size = plane * channels * shapes[:, 3]
    end = size.cumsum(0)
    voxels = torch.zeros(int(end[-1]), device=device)
    for image, last, count in zip(images, end.tolist(), size.tolist(), strict=True):
        _, x, y, z = image.shape
        padded = voxels[last - count : last].view(z, channels, y + 2 * margin, x + 2 * margin)
        padded[:, :, margin : margin + y, margin : margin + x] = image.permute(3, 0, 2, 1)
    distances = [distance.to(device) for distance in (end - size, line, plane)]
    return PaddedVolumes(voxels, margin, channels, *distances)


def gather_patches(
    volumes: PaddedVolumes,
    subject: torch.Tensor,
    centre: torch.Tensor,
    *,
    size: int,
    flipped: torch.Tensor,
) -> torch.Tensor:
    """Cut all patches of a batch out in one step, on the device of the volumes.

    Args:
        volumes: padded by at least half a patch.
        subject: number of each patch's subject (patch,), int64.
        centre: voxel of the unpadded image (3, patch), int64, that becomes index ``size // 2``.
        size: voxels along x and y.
        flipped: which patches are mirrored along y, about their centre, (patch,).

    Returns:
        (patch, channel, x, y), zero where a patch reaches beyond its image.

    Source:
        Flip along y: Ghafoorian 2017, section 2.2. About the centre, so that it stays at the same
        index of an even patch too, is ours: the label is that of one voxel.

    Example:
        >>> plane = torch.arange(9.0).reshape(1, 3, 3, 1)
        >>> volumes = pad_volumes([plane], margin=1, device=torch.device("cpu"))
        >>> where = torch.tensor([0, 0]), torch.tensor([[1, 1], [2, 2], [0, 0]])
        >>> gather_patches(volumes, *where, size=2, flipped=torch.tensor([False, True])).tolist()
        [[[[1.0, 2.0], [4.0, 5.0]]], [[[0.0, 2.0], [0.0, 5.0]]]]
    """
    inset = volumes.margin - size // 2
    if inset < 0:
        rule = f"be at most {2 * volumes.margin + 1}, which the volumes are padded for"
        raise InputError("gather_patches", "size", rule, got=size)
    x, y, z = centre
    line, plane = volumes.line[subject], volumes.plane[subject]
    first = volumes.offset[subject] + z * volumes.channels * plane + (y + inset) * line + x + inset
    each = torch.arange(size, device=line.device)
    lines = torch.where(flipped[:, None], 2 * (size // 2) - each, each)  # (patch, y)
    channel = torch.arange(volumes.channels, device=line.device)
    starts = (first[:, None] + plane[:, None] * channel)[..., None]  # (patch, channel, 1)
    starts = starts + (line[:, None] * lines)[:, None]  # (patch, channel, y)
    # index_select copies whole lines; the same by indexing takes four times as long
    gathered = volumes.voxels.unfold(0, size, 1).index_select(0, starts.flatten())
    return gathered.view(*starts.shape, size).transpose(2, 3)


def checked(image: Any, label: Any, *, patch_size: int) -> tuple[torch.Tensor, LabelMap]:
    """A subject's image as a plain tensor and its label as an array.

    Args:
        image: (channel, x, y, z).
        label: class indices (1, x, y, z).
        patch_size: that the image must hold in its plane.

    Raises:
        InputError: shapes that do not fit, or a label that is no class index.
    """
    image, label = (convert_to_tensor(each, track_meta=False) for each in (image, label))
    if image.ndim != 4:
        raise InputError("subject", "image shape", "be (channel, x, y, z)", got=tuple(image.shape))
    if label.shape != (1, *image.shape[1:]):
        rule = f"be {(1, *image.shape[1:])}, one channel on the grid of the image"
        raise InputError("subject", "label shape", rule, got=tuple(label.shape))
    if min(image.shape[1:3]) < patch_size:
        rule = f"be at least {patch_size} voxels along x and y, as a patch is"
        raise InputError("subject", "image size", rule, got="×".join(map(str, image.shape[1:])))
    classes = label[0].cpu().numpy()
    index = classes.astype(np.int32)
    if (index < 0).any() or (index != classes).any():
        raise InputError("subject", "label values", "be class indices, whole and at least 0")
    return image, index
