"""From the prepared space back to the scanner's: what a model found, on a subject's own scan."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.imaging.registration import IDENTITY, Grid, read_transform, resample
from monai_transfer.preprocessing.derivatives import Names, space_of

_RECORD = "_desc-preproc.json"


def restore(segmentation: Image, prepared: Path, *, modality: str | None = None) -> Image:
    """A segmentation of a prepared subject on the grid of one of its raw scans.

    The same as :meth:`~monai_transfer.preprocessing.Prepared.to_native`, from the files that
    ``preprocess`` wrote; the scan itself is not needed.

    Args:
        segmentation: label map or mask on any grid in the prepared space; values are kept
            (nearest neighbour).
        prepared: the subject's folder in the output of ``preprocess``.
        modality: whose scan; ``None`` for the recipe's reference, or the first without one.

    Raises:
        InputError: a folder of no prepared subject, or a modality that it does not have.

    Example:
        ::

            found = read_image("runs/inference/sub-01.nii.gz")
            write_image(restore(found, Path("prepared/sub-01"), modality="flair"), "native.nii.gz")
    """
    record = _record(prepared)
    plan = Recipe.from_dict(record["recipe"], where=prepared.name).preparation
    native = record["native"]
    name = modality or plan.reference or next(iter(native))
    if name not in native:
        raise choice(prepared.name, "modality", name, native)
    names = Names(record["subject"], space_of(plan))
    path = prepared / names.transform(name)
    moved = names.transform(name) in record["outputs"]  # a scan that was not moved has none
    transform = read_transform(path) if moved else IDENTITY
    grid = Grid(tuple(native[name]["shape"]), np.array(native[name]["affine"], np.float64))
    return resample(segmentation, grid, transform=transform.inverse(), interpolation="nearest")


def _record(prepared: Path) -> dict[str, Any]:
    """What ``preprocess`` says of the subject in a folder."""
    found = sorted(prepared.glob(f"anat/*{_RECORD}"))
    if len(found) != 1:
        rule = f"be of one prepared subject, with anat/*{_RECORD}"
        todo = "Give the subject's folder in the output of preprocess."
        raise InputError(str(prepared), "folder", rule, got=f"{len(found)} of them", todo=todo)
    record: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    return record
