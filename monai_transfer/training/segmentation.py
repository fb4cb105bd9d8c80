"""From network output to a label map on the subject's original grid, and its file."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, Invertd, MapTransform
from numpy.typing import NDArray

from monai_transfer._files import written_aside
from monai_transfer._metaimage import load_image
from monai_transfer.training.selection import label_map


class LabelMapd(MapTransform):
    """Logits (classes, x, y, z) → the most probable label value (1, x, y, z), uint8.

    Args:
        keys: of the logits.
        label_values: label value of each class index of the network.

    Example:
        >>> logits = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]]])
        >>> LabelMapd("pred", [0, 4])({"pred": logits})["pred"].tolist()
        [[[[0, 4]]]]
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


class LabelProbabilitiesd(MapTransform):
    """Logits (classes, x, y, z) → ``probabilities`` of each label value, beside them.

    (1 + largest label value, x, y, z), float32, indexed by label value; 0 for values that no class
    has.

    Args:
        keys: of the logits.
        label_values: label value of each class index of the network.

    Example:
        >>> logits = torch.zeros(2, 1, 1, 1)
        >>> data = LabelProbabilitiesd("pred", [0, 2])({"pred": logits})
        >>> data["probabilities"].flatten().tolist()
        [0.5, 0.0, 0.5]
    """

    def __init__(self, keys: KeysCollection, label_values: Sequence[int]) -> None:
        super().__init__(keys)
        self.label_values = [int(value) for value in label_values]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the probabilities."""
        result = dict(data)
        for key in self.key_iterator(result):
            logits = torch.as_tensor(result[key]).float()
            by_value = logits.new_zeros((1 + max(self.label_values), *logits.shape[1:]))
            by_value[self.label_values] = logits.softmax(dim=0)
            result["probabilities"] = by_value
        return result


class SaveSegmentationd(MapTransform):
    """Write a label map (1, x, y, z) on its original grid as ``<subject>.nii.gz``.

    The grid is that of the subject's first image file, see :func:`save_image`.

    Args:
        keys: of the label map.
        output_dir: folder, made when the first file is written.

    Attributes:
        written: names of the files so far.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | Path) -> None:
        super().__init__(keys)
        self.output_dir = Path(output_dir)
        self.written: list[str] = []

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Write the file; the data pass through unchanged."""
        for key in self.key_iterator(dict(data)):
            like = load_image(first_file(data["image"]))
            self.written.append(f"{data['subject']}.nii.gz")
            save_image(self.stored(data[key]), like, self.output_dir / self.written[-1])
        return data

    def stored(self, value: Any) -> NDArray[Any]:
        """What is written of the value of a key: (x, y, z), uint8."""
        voxels: NDArray[Any] = torch.as_tensor(value)[0].cpu().numpy().astype(np.uint8)
        return voxels


class SaveRestoredd(SaveSegmentationd):
    """Write a restored image (channels, x, y, z) on its original grid as ``<subject>.nii.gz``.

    Float32, with a fourth axis where there are several channels.

    Args:
        keys: of the image.
        output_dir: folder, made when the first file is written.
    """

    def stored(self, value: Any) -> NDArray[Any]:
        """What is written of the value of a key: (x, y, z) or (x, y, z, channels), float32."""
        voxels: NDArray[Any] = torch.as_tensor(value).movedim(0, -1).float().cpu().numpy()
        return voxels[..., 0] if voxels.shape[-1] == 1 else voxels


def first_file(image: Any) -> str:
    """Path of the file that a loaded image came from; the first of several."""
    return str(image.meta["filename_or_obj"])


_GEOMETRY = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
"""NIfTI header fields that say where voxels lie, beside ``pixdim`` and the unit of length."""


def save_label_map(labels: NDArray[np.uint8], like: Any, path: Path) -> None:
    """Write a label map with the geometry of another image; see :func:`save_image`."""
    save_image(labels, like, path)


def save_image(voxels: NDArray[Any], like: Any, path: Path) -> None:
    """Write an image with the geometry of another one, aside and renamed.

    The fields of the header that hold the geometry are copied as they are, and nothing else is:
    sform and qform may differ, and every reader must find both images in the same place whichever
    of the two it prefers.

    Args:
        voxels: (x, y, z) on the voxel grid of `like`, of the type that is stored; a fourth axis is
            that of channels.
        like: a NIfTI image.
        path: the file; its folder is made.
    """
    header = nib.Nifti1Header()
    for name in _GEOMETRY:
        header[name] = like.header[name]
    header["pixdim"][:4] = like.header["pixdim"][:4]
    header["xyzt_units"] = like.header["xyzt_units"] % 8  # of length; above it lies that of time
    header.set_data_dtype(voxels.dtype)
    with written_aside(path) as aside:
        nib.save(nib.Nifti1Image(voxels, None, header), aside)


def read_label(path: str | Path) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """A label map on its own grid, (x, y, z), and its voxel size in mm along these axes."""
    image = load_image(path)
    voxels = np.asanyarray(image.dataobj)
    if voxels.dtype.kind == "f":
        voxels = np.rint(voxels)  # a scaled 7 may read 6.9999999
    return voxels.astype(np.int32), spacing_of(image)


def spacing_of(image: Any) -> tuple[float, float, float]:
    """Voxel size in mm along x, y and z of a NIfTI image, by its affine.

    The header's own sizes may say something else, and nothing that is resampled goes by them.

    Example:
        >>> spacing_of(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([-1, 1, 3, 1])))
        (1.0, 1.0, 3.0)
    """
    x, y, z = (float(size) for size in nib.affines.voxel_sizes(image.affine))
    return x, y, z


def to_original_grid(
    preprocessing: Compose,
    label_values: Sequence[int],
    *,
    output_dir: str | Path | None,
    probabilities: bool = False,
) -> Compose:
    """Post-processing: undo the geometry, take the most probable class, write the file.

    Where the grid was resampled it is the logits that go back, so that borders stay smooth.

    Args:
        preprocessing: the preset that prepared ``image``.
        label_values: label value of each class index of the network.
        output_dir: where segmentations are written; ``None`` writes none.
        probabilities: keep them too, see :class:`LabelProbabilitiesd`.

    Returns:
        A transform of one subject's dictionary with ``image``, logits ``pred`` and ``subject``.
    """
    steps: list[Any] = [
        Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False, to_tensor=True),
        *([LabelProbabilitiesd("pred", label_values)] if probabilities else []),
        LabelMapd("pred", label_values),
    ]
    if output_dir is not None:
        steps.append(SaveSegmentationd("pred", output_dir))
    return Compose(steps)
