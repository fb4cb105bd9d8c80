"""Slices with labels on them: one subject, a few subjects, a cohort."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import save
from monai_transfer.training.pictures.sheet import draw_slice, mark_sides, new_sheet
from monai_transfer.training.pictures.subject import PicturedSubject, best_views

MODALITIES: Final = ("t1", "t1c", "t2", "flair")
_FILL: Final = 0.55


def overlay(
    subject: PicturedSubject,
    path: str | os.PathLike[str],
    *,
    labels: Mapping[int, str],
    modality: str | None = None,
) -> Path:
    """Draw one subject: image, truth and prediction in three planes.

    The slices are those of the largest true area; the patient's left is on the left.

    Args:
        subject: with truth, prediction or both.
        path: the picture.
        labels: label value → name, drawn in this order.
        modality: which image; ``None`` is the subject's first.

    Returns:
        The path.
    """
    views = best_views(subject)
    rows = _rows(subject)
    sheet = new_sheet(
        {plane: view.size_mm[0] for plane, view in views.items()},
        list(rows),
        height_mm=max(view.size_mm[1] for view in views.values()),
        labels=labels,
        title=subject.caption,
    )
    image = subject.image(modality)
    for axes, label_map in zip(sheet.axes, rows.values(), strict=True):
        for axis, view in zip(axes, views.values(), strict=True):
            draw_slice(axis, image, view, label_map=label_map, labels=labels, fill=_FILL)
            mark_sides(axis, view)
    return save(sheet.figure, path)


def overlay_strip(
    subjects: Mapping[str, PicturedSubject],
    path: str | os.PathLike[str],
    *,
    labels: Mapping[int, str],
    modality: str | None = None,
) -> Path:
    """Draw a few subjects, one row each: axial slice of image, truth and prediction.

    Args:
        subjects: heading of the row (best, median, worst) → subject; all with the same of truth and
            prediction.
        path: the picture.
        labels: label value → name, drawn in this order.
        modality: which image; ``None`` is the subject's first.

    Returns:
        The path.

    Raises:
        InputError: there is no subject.
    """
    if not subjects:
        raise InputError("overlay_strip", "subjects", "hold at least one subject")
    views = [best_views(subject)["axial"] for subject in subjects.values()]
    columns = _rows(next(iter(subjects.values())))
    sheet = new_sheet(
        dict.fromkeys(columns, max(view.size_mm[0] for view in views)),
        [f"{heading}: {subject.caption}" for heading, subject in subjects.items()],
        height_mm=max(view.size_mm[1] for view in views),
        labels=labels,
        headings_above=True,
    )
    for axes, subject, view in zip(sheet.axes, subjects.values(), views, strict=True):
        image = subject.image(modality)
        for axis, label_map in zip(axes, _rows(subject).values(), strict=True):
            draw_slice(axis, image, view, label_map=label_map, labels=labels, fill=_FILL)
            mark_sides(axis, view)
    return save(sheet.figure, path)


def montage(
    subjects: Sequence[PicturedSubject],
    path: str | os.PathLike[str],
    *,
    labels: Mapping[int, str],
    modalities: Sequence[str] = MODALITIES,
) -> Path:
    """Draw a cohort: a row for each subject, a column for each modality, true labels outlined.

    Args:
        subjects: rows from top to bottom, for example simulated ones and then real ones.
        path: the picture.
        labels: label value → name.
        modalities: columns; a modality that a subject lacks leaves its place empty.

    Returns:
        The path.

    Raises:
        InputError: there is no subject.
    """
    if not subjects:
        raise InputError("montage", "subjects", "hold at least one subject")
    views = [best_views(subject)["axial"] for subject in subjects]
    sheet = new_sheet(
        dict.fromkeys(modalities, max(view.size_mm[0] for view in views)),
        [subject.name for subject in subjects],
        height_mm=max(view.size_mm[1] for view in views),
        labels=labels,
    )
    for axes, subject, view in zip(sheet.axes, subjects, views, strict=True):
        for axis, modality in zip(axes, modalities, strict=True):
            if modality in subject.images:
                image = subject.images[modality]
                draw_slice(axis, image, view, label_map=subject.truth, labels=labels, fill=0)
            else:
                axis.text(0, 0, "not acquired", color="0.6", ha="center", fontsize=9)
        mark_sides(axes[0], view)
    return save(sheet.figure, path)


def _rows(subject: PicturedSubject) -> dict[str, NDArray[Any] | None]:
    """What is shown of a subject: the bare image, then each label map that it has."""
    maps = {"truth": subject.truth, "prediction": subject.prediction}
    return {"image": None} | {name: part for name, part in maps.items() if part is not None}
