"""From network output to a label map on the subject's original grid, and its file."""

import os
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, Invertd, MapTransform
from numpy.typing import NDArray

from monai_transfer.training.selection import label_map


class LabelMapd(MapTransform):
    """Logits (classes, x, y, z) → the most probable label value (1, x, y, z), uint8.

    Args:
        keys: of the logits.
        label_values: label value of each class index of the network.
    """

    def __init__(self, keys: KeysCollection, label_values: Sequence[int]) -> None:
        super().__init__(keys)
        self.label_values = [int(value) for value in label_values]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the logits."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = label_map(result[key], self.label_values)[None]
        return result


class SaveSegmentationd(MapTransform):
    """Write a label map (1, x, y, z) on its original grid as ``<subject>.nii.gz``.

    The grid is that of the subject's first image file: same shape, affine and codes, nothing else
    of its header. Written aside and renamed.

    Args:
        keys: of the label map.
        output_dir: folder, made when the first file is written.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | Path) -> None:
        super().__init__(keys)
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Write the file; the data pass through unchanged."""
        for key in self.key_iterator(dict(data)):
            labels = torch.as_tensor(data[key])[0].cpu().numpy().astype(np.uint8)
            like = nib.load(first_file(data["image"]))
            save_label_map(labels, like, self.output_dir / f"{data['subject']}.nii.gz")
        return data


def first_file(image: Any) -> str:
    """Path of the file that a loaded image came from; the first of several."""
    return str(image.meta["filename_or_obj"])


def save_label_map(labels: NDArray[np.uint8], like: Any, path: Path) -> None:
    """Write a label map with the geometry of another image.

    Args:
        labels: (x, y, z) on the voxel grid of `like`.
        like: a NIfTI image; its affine and its sform and qform codes are taken over.
        path: the file.
    """
    image = nib.Nifti1Image(labels, like.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(like.affine, int(like.header["sform_code"]))
    image.set_qform(like.affine, int(like.header["qform_code"]) or 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    nib.save(image, aside)
    aside.replace(path)


def read_label(path: str | Path) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """A label map on its own grid, (x, y, z), and its voxel size in mm along these axes."""
    image: Any = nib.load(path)
    return np.asanyarray(image.dataobj).astype(np.int16), spacing_of(image)


def spacing_of(image: Any) -> tuple[float, float, float]:
    """Voxel size in mm along x, y and z of a NIfTI image."""
    x, y, z = (float(size) for size in image.header.get_zooms()[:3])
    return x, y, z


def to_original_grid(
    preprocessing: Compose, label_values: Sequence[int], *, output_dir: str | Path | None
) -> Compose:
    """Post-processing: undo the geometry, take the most probable class, write the file.

    Where the grid was resampled it is the logits that go back, so that borders stay smooth.

    Args:
        preprocessing: the preset that prepared ``image``.
        label_values: label value of each class index of the network.
        output_dir: where segmentations are written; ``None`` writes none.

    Returns:
        A transform of one subject's dictionary with ``image``, logits ``pred`` and ``subject``.
    """
    steps: list[Any] = [
        Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True),
        LabelMapd("pred", label_values),
    ]
    if output_dir is not None:
        steps.append(SaveSegmentationd("pred", output_dir))
    return Compose(steps)
