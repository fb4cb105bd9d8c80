"""The rules on the values of one file: images are pictures, labels hold what is declared."""

from collections.abc import Iterator, Mapping

from monai_transfer.data.measured import QUANTILES, Channel, Measured

_LARGEST = 1e12  # its square, summed over an image, is finite as float32
_SMALLEST = 1e-12
_ROUNDING = 1e-5
_FAR = 100
_LISTED = 4


def value_faults(measured: Measured, labels: frozenset[int] | None) -> Iterator[tuple[str, str]]:
    """(code, value) of the rules on one file.

    Args:
        measured: an image or a label.
        labels: the values a label may hold; ``None``: not known.
    """
    if measured.nonfinite:
        yield "G401", f"NaN or infinity in {measured.nonfinite}"
    for index, channel in enumerate(measured.channels):
        where = f" in channel {index}" if len(measured.channels) > 1 else ""
        for code, value in _channel_faults(channel):
            yield code, value + where
    if measured.label is not None:
        yield from _label_faults(measured.label.counts, measured.label.more, labels)


def _channel_faults(channel: Channel) -> Iterator[tuple[str, str]]:
    low, high = channel.low, channel.high
    largest = max(abs(low), abs(high))
    if low == high:
        yield "G402", f"{low:.7g} in every voxel"
    elif largest > _LARGEST or high - low < max(_SMALLEST, _ROUNDING * largest):
        yield "G403", f"{low:.7g} to {high:.7g}"
    elif channel.quantiles:
        at = dict(zip(QUANTILES, channel.quantiles, strict=True))
        above, below = at[0.99] - at[0.5], at[0.5] - at[0.01]
        reach = _FAR * max(above, below)
        if reach > 0 and max(high - at[0.5], at[0.5] - low) > reach:
            yield "G404", f"{low:.4g} to {high:.4g}, 98 in 100 in {at[0.01]:.4g} to {at[0.99]:.4g}"


def _label_faults(
    counts: Mapping[float, int], more: int, labels: frozenset[int] | None
) -> Iterator[tuple[str, str]]:
    fractional = {value: voxels for value, voxels in counts.items() if not value.is_integer()}
    if fractional:
        yield "G501", _listing(fractional, more)
    if labels is not None:
        foreign = {v: n for v, n in counts.items() if v.is_integer() and v not in labels}
        if foreign:
            declared = ", ".join(map(str, sorted(labels)))
            yield "G502", f"{_listing(foreign, more)} (declared: {declared})"


def _listing(counts: Mapping[float, int], more: int) -> str:
    shown = [f"{value:.7g} in {voxels} voxels" for value, voxels in [*counts.items()][:_LISTED]]
    left = len(counts) - len(shown) + more
    return ", ".join(shown) + (f" and {left} more values" if left else "")
