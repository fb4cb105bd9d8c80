"""The rules on the files of one subject: readable, one grid, finite, declared labels."""

from collections.abc import Sequence

from monai_transfer.data.entries import Entry
from monai_transfer.data.faults import Fault, fault
from monai_transfer.data.measured import Measured
from monai_transfer.data.placement_rules import Grid, grid_faults, placement_faults
from monai_transfer.data.value_rules import value_faults

_UNPLACED = {"G301", "G302", "G308"}


def files_of(entry: Entry) -> list[tuple[str, bool]]:
    """The files of an entry, and whether each is a label."""
    images = [(file, False) for file in entry.images]
    return images if entry.label is None else [*images, (entry.label, True)]


def file_faults(
    entry: Entry,
    measured: Sequence[Measured],
    *,
    channels: int | None,
    labels: frozenset[int] | None,
) -> list[Fault]:
    """Every fault of an entry's files.

    Args:
        entry: the subject.
        measured: its files, in the order of :func:`files_of`.
        channels: modalities that a file holding all of them must have; ``None``: not known.
        labels: declared label values; ``None``: not known.

    Returns:
        Faults G2xx to G5xx, in file order, then those of the grid.
    """
    faults: list[Fault] = []
    grids: list[Grid] = []
    for (file, is_label), one in zip(files_of(entry), measured, strict=True):
        found = [one.damage] if one.damage else []
        if one.placement is not None:
            if not _dims_fit(one.shape, channels if entry.stacked and not is_label else 0):
                found.append(("G301", "x".join(map(str, one.shape))))
            found += [*placement_faults(one.placement, one.shape), *value_faults(one, labels)]
            if not _UNPLACED & {code for code, _ in found}:
                grids.append(Grid(file, one.shape[:3], one.placement.affine))
        faults += [fault(code, subject=entry.subject, file=file, value=got) for code, got in found]
    return [*faults, *grid_faults(entry.subject, grids)]


def _dims_fit(shape: tuple[int, ...], channels: int | None) -> bool:
    """Whether a file is 3D, or 4D with `channels` (`None`: any; 0: it must not have that axis)."""
    if len(shape) == 4:
        return channels in (shape[3], None)
    return len(shape) == 3 and channels in (0, 1, None)
