"""Segmentations as the archive that a challenge's portal takes."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from monai_transfer._files import written_aside
from monai_transfer._metaimage import load_image
from monai_transfer.data import Subject, find_subjects, read_manifest
from monai_transfer.data.entries import Entry
from monai_transfer.data.entry_files import file_faults
from monai_transfer.data.faults import Fault, all_at_once, fault
from monai_transfer.data.images import read_scan
from monai_transfer.data.manifest import Submission
from monai_transfer.data.measured import measure
from monai_transfer.errors import InputError
from monai_transfer.training import save_label_map

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment: the same input, the same bytes


def write_submission(
    predictions_dir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    manifest: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
) -> list[str]:
    """Check one segmentation for each subject of a data set, and put them into a zip.

    Nothing is written unless all of them pass. In the archive every file is uint8 on the geometry
    of the subject's own first image, under the portal's name, without a folder; headers hold
    nothing else.

    Args:
        predictions_dir: folder of segmentations, as the bundle's inference writes it.
        output: the archive, ending in ``.zip``; written aside and renamed.
        manifest: path of the data set's description; its ``submission`` is what the portal takes.
        dataset_dir: folder of the images; labels are not needed.

    Returns:
        Names of the files in the archive, in order.

    Raises:
        InputError: a manifest without ``submission``; or every segmentation that is missing, not
            asked for, damaged, of another shape, on another grid or with another label, one per
            line.

    Source:
        BraTS 2018, the portal that Kaur 2019 (section 3.3) was scored by: ``<subject>.nii.gz`` with
        labels 0, 1, 2 and 4 on the 240×240×155 voxels of the images.

    Example:
        What the validation set's inference wrote, for the portal::

            path = manifest_path("brats2018_validation")
            write_submission("predictions", "ours.zip", manifest=path, dataset_dir="validation")
    """
    described = read_manifest(manifest).images_alone()
    target, folder = Path(output), Path(predictions_dir)
    wanted = described.submission
    if wanted is None:
        rule, todo = "be there", "Say file and shape that the portal takes."
        raise InputError(described.name, "key submission", rule, got="none", todo=todo)
    if target.suffix != ".zip":
        raise InputError("submission", "output", "end in .zip", got=target.name)
    subjects = find_subjects(described, dataset_dir)
    names = {s.subject: wanted.file.format(subject=s.subject) for s in subjects}
    faults: list[object] = [*_name_faults(names, folder)]
    for subject in subjects:
        if (folder / names[subject.subject]).is_file():
            path, labels = folder / names[subject.subject], frozenset(described.labels)
            faults += _file_faults(subject, Path(dataset_dir), path, labels=labels, wanted=wanted)
    if faults:
        raise all_at_once("submission", "segmentations", faults)
    with (
        tempfile.TemporaryDirectory() as clean,
        written_aside(target) as aside,
        zipfile.ZipFile(aside, "w") as archive,  # stored: the files are compressed already
    ):
        for subject in subjects:
            name = names[subject.subject]
            _write_clean(folder / name, Path(dataset_dir, subject.images[0]), Path(clean, name))
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), Path(clean, name).read_bytes())
            Path(clean, name).unlink()
    return list(names.values())


def _name_faults(names: Mapping[str, str], folder: Path) -> Iterator[str]:
    present = {path.name for path in folder.glob("*.nii*")}
    for subject, name in names.items():
        if name not in present:
            yield f"{subject}: must be segmented, no file {name}"
    for name in sorted(present - set(names.values())):
        yield f"{name}: must belong to a subject of the data set. Take it out."


def _file_faults(
    subject: Subject, images: Path, path: Path, *, labels: frozenset[int], wanted: Submission
) -> list[Fault]:
    """The gate's errors of a label beside its subject's first image, and the portal's shape."""
    image = subject.images[0]
    entry = Entry(
        place=path.name,
        split="test",
        subject=subject.subject,
        patient=subject.patient,
        images=(image,),
        stacked=len(subject.images) == 1,
        label=path.name,
    )
    segmented = measure(path, is_label=True)
    measured = [measure(images / image, is_label=False), segmented]
    found = file_faults(entry, measured, channels=None, labels=labels)
    faults = [each for each in found if each.severity == "error"]
    if not faults and segmented.shape != wanted.shape:
        got, portal = ("x".join(map(str, shape)) for shape in (segmented.shape, wanted.shape))
        value = f"{got} where the portal has {portal}"
        faults.append(fault("G303", subject=subject.subject, file=path.name, value=value))
    return faults


def _write_clean(prediction: Path, image: Path, path: Path) -> None:
    scan = read_scan(prediction)
    labels = scan.values(scan.voxels).astype(np.uint8).reshape(scan.shape, order="F")
    save_label_map(labels, load_image(image), path)
