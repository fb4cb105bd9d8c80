"""What the rules need to know of a file, in some hundred bytes: it is read once, and forgotten.

The rules look at these measurements only, never at voxels, so that a cohort of any size is checked
in the same memory, and so that measurements can be kept for the next time.
"""

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monai_transfer.data.byte_stream import ScanError
from monai_transfer.data.glance import glance, packed
from monai_transfer.data.header import Placement
from monai_transfer.data.images import read_scan
from monai_transfer.data.nifti import Scan

REVISION = 1
"""Raised whenever the same file gives other measurements, so that no kept ones are used."""

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_SAMPLES = 100_000
_FEWEST = 64  # samples that quantiles are taken of, and different values that make a picture
_MOST_CHANNELS = 32
_MOST_VALUES = 256


@dataclass(frozen=True)
class Channel:
    """The values of one 3D image, as float32.

    Args:
        low: the lowest.
        high: the highest.
        quantiles: :data:`QUANTILES` of a sample of the values that are not 0; empty where there are
            too few.
        digest: of the sample, the same for the same picture in any number type; empty for a mask or
            another picture of a few values, which many may share.
        glance: see :mod:`monai_transfer.data.glance`; empty likewise.
    """

    low: float
    high: float
    quantiles: tuple[float, ...] = ()
    digest: str = ""
    glance: str = ""


@dataclass(frozen=True)
class LabelValues:
    """Which values a label map holds, and how many voxels of each.

    Args:
        counts: the lowest values → voxels.
        more: how many other values there are.
        digest: of the labelled voxels, in any number type; empty if there are none.
    """

    counts: dict[float, int]
    more: int
    digest: str


@dataclass(frozen=True)
class Measured:
    """What the rules need to know of a file.

    Args:
        damage: code of the rule and value, of a file that cannot be used; nothing else is known.
        shape: as in the header.
        placement: where the voxels lie; ``None`` with damage.
        identifying: header fields that may tell who the patient is.
        nonfinite: how many voxels are not finite as float32, and where the first is; else empty.
        channels: of an image; empty if it has voxels that are not finite.
        label: of a label, likewise.
        content: digest of affine and values: another one is another image.
    """

    damage: tuple[str, str] | None = None
    shape: tuple[int, ...] = ()
    placement: Placement | None = None
    identifying: tuple[str, ...] = ()
    nonfinite: str = ""
    channels: tuple[Channel, ...] = ()
    label: LabelValues | None = None
    content: str = ""

    def to_json(self) -> str:
        """The measurements as text."""
        record = asdict(self)
        if self.label is not None:  # the keys of a JSON object are texts
            record["label"]["counts"] = list(self.label.counts.items())
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> "Measured":
        """Measurements from :meth:`to_json`'s text.

        Example:
            >>> unread = Measured(damage=("G201", "no file"))
            >>> Measured.from_json(unread.to_json()) == unread
            True
        """
        record = json.loads(text)
        for key in ("damage", "shape", "identifying"):
            record[key] = None if record[key] is None else tuple(record[key])
        if (place := record["placement"]) is not None:
            for key in ("affine", "qform"):
                place[key] = place[key] and tuple(map(tuple, place[key]))
            record["placement"] = Placement(**{**place, "pixdim": tuple(place["pixdim"])})
        if (label := record["label"]) is not None:
            record["label"] = LabelValues(**{**label, "counts": dict(label["counts"])})
        record["channels"] = tuple(
            Channel(**{**channel, "quantiles": tuple(channel["quantiles"])})
            for channel in record["channels"]
        )
        return cls(**record)


def measure(path: Path, *, is_label: bool) -> Measured:
    """Read a file to its end, and measure it.

    Args:
        path: of the file.
        is_label: whether it is a label map: its values are counted, one by one.
    """
    try:
        scan = read_scan(path)
    except ScanError as damage:
        return Measured(damage=(damage.code, damage.value))
    nonfinite = _nonfinite(scan)
    measured = Measured(
        shape=scan.shape,
        placement=scan.placement,
        identifying=scan.identifying,
        nonfinite=nonfinite,
        content=_content(scan),
    )
    if nonfinite:
        return measured
    if is_label:
        return replace(measured, label=_label_values(scan))
    return replace(measured, channels=_channels(scan))


def _content(scan: Scan) -> str:
    """Digest of what a reader gets. The checksum is cheap; the sample makes up for its 32 bits."""
    digest = hashlib.blake2b(digest_size=16)
    stored = (scan.shape, scan.placement.affine, scan.slope, scan.intercept, scan.voxels.dtype.str)
    digest.update(repr((stored, zlib.crc32(scan.voxels.data))).encode())
    digest.update(_sample(scan.voxels).tobytes())
    return digest.hexdigest()


def _nonfinite(scan: Scan) -> str:
    if _finite(scan):
        return ""
    bad = ~np.isfinite(scan.values(scan.voxels))
    first = np.unravel_index(int(bad.argmax()), scan.shape, order="F")
    place = ", ".join(str(int(index)) for index in first)
    return f"{int(bad.sum())} voxels, first at ({place})"


def _finite(scan: Scan) -> bool:
    """Whether all values are finite as float32; both ends of an array with a NaN are NaN."""
    ends = np.array([scan.voxels.min(), scan.voxels.max()])
    return bool(np.isfinite(scan.values(ends)).all())


def _channels(scan: Scan) -> tuple[Channel, ...]:
    size = int(np.prod(scan.shape[:3]))
    starts = range(0, scan.voxels.size, size)[:_MOST_CHANNELS]
    return tuple(_channel(scan, scan.voxels[start : start + size]) for start in starts)


def _channel(scan: Scan, voxels: NDArray[np.number]) -> Channel:
    low, high = sorted(scan.values(np.array([voxels.min(), voxels.max()])).tolist())
    sample = scan.values(_sample(voxels))
    inside = sample[sample != 0]
    if inside.size < _FEWEST:
        return Channel(low, high)
    quantiles = tuple(np.quantile(inside, QUANTILES).tolist())
    if np.unique(inside).size < _FEWEST:
        return Channel(low, high, quantiles)
    digest = hashlib.blake2b(repr(scan.shape[:3]).encode() + sample.tobytes(), digest_size=16)
    if len(scan.shape) < 3:
        return Channel(low, high, quantiles, digest.hexdigest())
    ranks = packed(scan.values(voxels[glance(scan.shape[:3])]))
    return Channel(low, high, quantiles, digest.hexdigest(), ranks)


def _sample(voxels: NDArray[np.number]) -> NDArray[np.number]:
    """Voxels at one distance all over the image, not of one row or column of it."""
    return voxels[:: max(1, voxels.size // _SAMPLES) | 1]


def _label_values(scan: Scan) -> LabelValues:
    places = np.flatnonzero(scan.voxels)
    labelled = scan.voxels[places]
    stored, counts = np.unique(labelled, return_counts=True)
    if labelled.size < scan.voxels.size:
        stored = np.append(stored, stored.dtype.type(0))
        counts = np.append(counts, scan.voxels.size - labelled.size)
    values = scan.values(stored)
    distinct, where = np.unique(values, return_inverse=True)  # scaled, two may have become one
    voxels = np.bincount(where, weights=counts)
    listed = zip(distinct[:_MOST_VALUES].tolist(), map(int, voxels[:_MOST_VALUES]), strict=True)
    digest = hashlib.blake2b(places.tobytes(), digest_size=16)
    digest.update(scan.values(labelled).tobytes())
    return LabelValues(
        dict(listed),
        more=max(0, len(distinct) - _MOST_VALUES),
        digest=digest.hexdigest() if labelled.size else "",
    )
