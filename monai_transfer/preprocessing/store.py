"""A prepared subject on disk: whole or not there, with a record of what it was made from."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_transfer.imaging.files import read_image, write_image
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.nyul import StandardScale, landmarks
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.imaging.registration import LinearTransform, SpatialTransform
from monai_transfer.preprocessing.derivatives import Names
from monai_transfer.preprocessing.folders import digest, file_digest
from monai_transfer.preprocessing.histograms import Histogram, histogram, histogram_picture
from monai_transfer.preprocessing.pictures import pictures, viewer
from monai_transfer.preprocessing.prepared import Prepared, on_scale
from monai_transfer.preprocessing.quality import scores

REVISION = 1
"""Raised whenever the same scans and parameters give other voxels."""


def read_record(folder: Path, names: Names) -> dict[str, Any] | None:
    """What a subject was made from; ``None`` unless every file is there and as it was written."""
    try:
        record: dict[str, Any] = json.loads((folder / names.record).read_text(encoding="utf-8"))
        whole = all(file_digest(folder / f) == found for f, found in record["outputs"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


@dataclass(frozen=True)
class Made:
    """What a subject was made from.

    Args:
        subject: id.
        recipe: that was followed.
        methods: from :meth:`~monai_transfer.preprocessing.methods.Methods.describe`.
        versions: of the libraries.
        inputs: relative path → digest.
    """

    subject: str
    recipe: Recipe
    methods: Mapping[str, str]
    versions: Mapping[str, str]
    inputs: Mapping[str, str]

    def key(self, scale: StandardScale | None) -> str:
        """Equal for equal results."""
        parameters = asdict(self.recipe.preparation), dict(self.methods), dict(self.versions)
        standard = None if scale is None else scale.to_json()
        return digest(REVISION, *parameters, dict(self.inputs), standard)


def write_subject(
    prepared: Prepared,
    raw: Mapping[str, Image],
    folder: Path,
    *,
    names: Names,
    made: Made,
    scale: StandardScale | None,
) -> None:
    """Write a subject's files into an empty folder.

    Args:
        prepared: the subject.
        raw: its scans.
        folder: to write into.
        names: of the files.
        made: what it was made from.
        scale: that its images are on; ``None`` if on none, or on none yet.
    """
    plan = made.recipe.preparation
    (folder / "anat").mkdir(parents=True)
    (folder / "figures").mkdir()
    write_image(prepared.brain, folder / names.brain)
    if prepared.label is not None:
        write_image(prepared.label, folder / names.label)
    for modality, image in prepared.images.items():
        write_image(image, folder / names.image(modality))
        transform = prepared.transforms[modality]
        if not _is_identity(transform):
            transform.save(folder / names.transform(modality))
    for name, content in pictures(prepared, raw, plan):
        (folder / names.figure(name)).write_bytes(content)
    (folder / names.figure("viewer.html")).write_text(viewer(prepared, plan), encoding="utf-8")
    brain = prepared.native_brain
    brain_ml = np.count_nonzero(brain.voxels) * brain.spacing_mm.prod() / 1000
    record = {
        "subject": made.subject,
        "recipe": asdict(made.recipe),
        "methods": dict(made.methods),
        "versions": dict(made.versions),
        "inputs": dict(made.inputs),
        "native": {
            name: {"shape": list(grid.shape), "affine": grid.affine.tolist()}
            for name, grid in prepared.native.items()
        },
        "quality": {
            "normalised_mutual_information": scores(prepared, plan),
            "brain_ml": round(float(brain_ml), 1),
        },
        "histograms": _raw_histograms(prepared, raw),
    }
    _finish(prepared, folder, names=names, record=record, key=made.key(scale), scale=scale)


def standardise_subject(
    source: Path, folder: Path, *, names: Names, made: Made, scale: StandardScale
) -> None:
    """Copy a subject that is on no standard scale yet, and bring it to one.

    Args:
        source: where :func:`write_subject` wrote it.
        folder: to write into.
        names: of the files.
        made: what it was made from.
        scale: to bring it to.
    """
    shutil.copytree(source, folder, dirs_exist_ok=True)
    record = json.loads((folder / names.record).read_text(encoding="utf-8"))
    brain = read_image(folder / names.brain)
    brain = brain.with_voxels(brain.voxels > 0)
    images = {name: read_image(folder / names.image(name)) for name in record["histograms"]}
    images = on_scale(images, brain.voxels, scale)
    for name, image in images.items():
        write_image(image, folder / names.image(name))
    part = _Part(images, brain)
    _finish(part, folder, names=names, record=record, key=made.key(scale), scale=scale)


@dataclass(frozen=True, eq=False)
class _Part:
    """What of a :class:`Prepared` the end of writing needs."""

    images: Mapping[str, Image]
    brain: Image


def _finish(
    prepared: Prepared | _Part,
    folder: Path,
    *,
    names: Names,
    record: dict[str, Any],
    key: str,
    scale: StandardScale | None,
) -> None:
    """Histograms after, and the record, last of all."""
    before: Mapping[str, Histogram] = record["histograms"]
    after = {name: histogram(image, prepared.brain) for name, image in prepared.images.items()}
    (folder / names.figure("histograms.jpg")).write_bytes(histogram_picture(before, after))
    stack = np.stack([image.voxels for image in prepared.images.values()])
    found = landmarks(stack, prepared.brain.voxels)
    record |= {
        "landmarks": dict(zip(prepared.images, found.tolist(), strict=True)),
        "standard_scale": None if scale is None else digest(scale.to_json()),
        "key": key,
    }
    record["outputs"] = {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / names.record
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (folder / names.record).write_text(text, encoding="utf-8")


def _is_identity(transform: SpatialTransform) -> bool:
    return isinstance(transform, LinearTransform) and np.array_equal(transform.matrix, np.eye(4))


def _raw_histograms(prepared: Prepared, raw: Mapping[str, Image]) -> dict[str, Histogram]:
    found = {}
    for name, image in raw.items():
        mask = prepared.to_native(
            prepared.brain.with_voxels(prepared.brain.voxels.astype(np.uint8)), modality=name
        )
        found[name] = histogram(image, mask.with_voxels(mask.voxels > 0))
    return found
