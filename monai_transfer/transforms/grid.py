"""One grid for all files of a subject.

Headers hold the affine in float32, as rows of numbers or as a quaternion, and software writes it
back with other rounding. MONAI refuses to stack files whose affines differ by 1e-7, and resamples
image and label by one affine each, which may differ by a voxel at the rim.
"""

from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from pathlib import PurePath
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import NibabelReader
from monai.transforms import MapTransform
from numpy.typing import NDArray

from monai_transfer._grids import apart_mm, is_one_grid
from monai_transfer._metaimage import is_metaimage, load_image
from monai_transfer.errors import InputError
from monai_transfer.transforms.naming import subject_of


class OneGridReader(NibabelReader):
    """MONAI's NIfTI reader, for MetaImages too; of several files, all get the affine of the first.

    MONAI's keeps the names of the files it has read last and counts by them: when threads share it,
    as in a ``CacheDataset``, the four images of one subject are cut to the one label of another.
    Here every call goes by its own images.

    Raises:
        InputError: on reading, files whose grids differ by more than rounding.
    """

    def read(self, data: Any, **kwargs: Any) -> Any:
        """The images of one file or several."""
        names = [data] if isinstance(data, str | PurePath) else list(data)
        if not any(is_metaimage(name) for name in names):
            return super().read(data, **kwargs)
        images = [load_image(name) for name in names]
        return images if len(images) > 1 else images[0]

    def get_data(self, img: Any) -> Any:
        """Voxels, stacked along a new first axis for several files, and their metadata."""
        images = list(img) if isinstance(img, Sequence) else [img]
        names = [image.get_filename() or "image" for image in images]
        first = images[0]
        for name, image in zip(names, images, strict=True):
            _require_same(PurePath(name).name, _grid(image), _grid(first))
        if len(images) > 1:
            images = [type(image)(image.dataobj, first.affine, image.header) for image in images]
        mine = copy(self)
        mine.filenames = names
        return NibabelReader.get_data(mine, images)


class OneGridd(MapTransform):
    """Give images that lie on one grid the very same affine.

    Args:
        keys: of (c, x, y, z) MetaTensors in one orientation; the first one's affine is taken.

    Raises:
        InputError: on use, grids that differ by more than rounding, naming the subject.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Check and align the affines; voxels are left alone."""
        result = dict(data)
        first, *others = self.key_iterator(result)
        grid = tuple(result[first].shape[1:]), result[first].affine.numpy()
        for key in others:
            mine = tuple(result[key].shape[1:]), result[key].affine.numpy()
            _require_same(f"{subject_of(data, first)}: {key}", mine, grid)
            result[key] = result[key].clone()
            result[key].affine = result[first].affine.clone()
        return result


_Grid = tuple[tuple[int, ...], NDArray[np.float64]]


def _grid(image: Any) -> _Grid:
    return tuple(image.shape[:3]), image.affine


def _require_same(where: str, grid: _Grid, first: _Grid) -> None:
    rule, todo = "be that of the subject's first image", "Register and resample the file to it."
    if grid[0] != first[0]:
        raise InputError(where, "grid", rule, got=f"{grid[0]} voxels, not {first[0]}", todo=todo)
    away = apart_mm(grid[1], first[1], grid[0])
    if not is_one_grid(away, grid[0]):
        raise InputError(where, "grid", rule, got=f"one {away:.4g} mm away", todo=todo)
