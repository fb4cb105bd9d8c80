"""Registration inside a chain of MONAI transforms."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import ensure_tuple

from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration import (
    Grid,
    LinearRegistration,
    Registration,
    SpatialTransform,
    mni152,
    mni152_focus,
    resample,
)
from monai_transfer.transforms.naming import subject_of

_MODES: dict[str, str] = {
    "bilinear": "linear",
    "nearest": "nearest",
}  # MONAI's word: ours


class Registerd(MapTransform, InvertibleTransform):
    """Register one image to another, and take it and what lies in its space along.

    The inverse takes them, or with MONAI's ``Invertd`` a prediction, back to the grids they came
    from; a prediction of labels by its ``nearest_interp``.

    Args:
        keys: of (c, x, y, z) MetaTensors in the moving image's space, itself among them.
        fixed: key of the image to register to, or the image, such as a template.
        moving: key of the image that is registered, by its first channel.
        labels: those of the keys that hold label values or masks: nearest neighbour, type kept.
        fixed_mask: key of a mask on the fixed image, or the mask; ``None`` leaves it to the method.
        method: any :class:`~monai_transfer.imaging.registration.Registration`; ``None`` for ours,
            affine.

    Raises:
        InputError: labels that are not among the keys; on use, as the method, naming the subject.
    """

    def __init__(
        self,
        keys: KeysCollection,
        fixed: Hashable | Image,
        *,
        moving: Hashable,
        labels: KeysCollection = (),
        fixed_mask: Hashable | Image | None = None,
        method: Registration | None = None,
    ) -> None:
        super().__init__(keys)
        self.fixed, self.moving, self.fixed_mask = fixed, moving, fixed_mask
        self.labels = ensure_tuple(labels)
        if strange := set(self.labels) - set(self.keys):
            raise InputError(
                "Registerd", "labels", "be among the keys", got=sorted(map(str, strange))
            )
        self.method = LinearRegistration() if method is None else method

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Register and resample."""
        result = dict(data)
        fixed = _first_channel(data, self.fixed)
        mask = None if self.fixed_mask is None else _first_channel(data, self.fixed_mask)
        try:
            found = self.method(fixed, _first_channel(data, self.moving), fixed_mask=mask)
        except InputError as error:
            where = f"{subject_of(data, self.moving)}: {error.where}"
            raise InputError(
                where, error.what, error.rule, got=error.got, todo=error.todo
            ) from error
        for key in self.key_iterator(result):
            mode = "nearest" if key in self.labels else "bilinear"
            moved = _resampled(result[key], Grid(fixed.shape, fixed.affine), found, mode)
            info = {
                "transform": found,
                "mode": mode,
                "shape": tuple(result[key].shape[1:]),
                "affine": result[key].affine.numpy(),
            }
            self.push_transform(moved, orig_size=info["shape"], extra_info=info)  # type: ignore[no-untyped-call]
            result[key] = moved
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample to where each came from."""
        result = dict(data)
        for key in self.key_iterator(result):
            info = self.pop_transform(result[key])["extra_info"]
            grid = Grid(info["shape"], np.asarray(info["affine"]))
            result[key] = _resampled(result[key], grid, info["transform"].inverse(), info["mode"])
        return result


class RegisterToMNI152d(Registerd):
    """:class:`Registerd` to the MNI152 template, for skull-stripped images.

    Args:
        keys: see :class:`Registerd`.
        moving: likewise; a T1 does best, others do.
        labels: likewise.
        method: likewise; it is given the template's brain and a rim around it as the mask.

    Source:
        Kaur 2019 and Zhou 2022 register to MNI152, Kaur 2019 by ANTs.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        moving: Hashable,
        labels: KeysCollection = (),
        method: Registration | None = None,
    ) -> None:
        super().__init__(
            keys,
            mni152(),
            moving=moving,
            labels=labels,
            fixed_mask=mni152_focus(),
            method=method,
        )


def _first_channel(data: Mapping[Hashable, Any], given: Hashable | Image) -> Image:
    if isinstance(given, Image):
        return given
    return _image(data[given], 0)


def _image(tensor: MetaTensor, channel: int) -> Image:
    return Image(tensor[channel].detach().cpu().numpy(), tensor.affine.cpu().numpy())


def _resampled(
    tensor: MetaTensor, grid: Grid, transform: SpatialTransform, mode: str
) -> MetaTensor:
    """All channels on another grid; metadata and the record of transforms stay."""
    channels = [
        resample(
            _image(tensor, channel), grid, transform=transform, interpolation=_MODES[mode]
        ).voxels
        for channel in range(tensor.shape[0])
    ]
    moved = MetaTensor(
        torch.from_numpy(np.stack(channels)).to(tensor.device),
        meta={**tensor.meta},
        applied_operations=list(tensor.applied_operations),
    )
    moved.affine = torch.from_numpy(grid.affine)
    return moved
