"""The bias field taken out, as MONAI transforms."""

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_transfer.errors import InputError
from monai_transfer.imaging.bias_field import estimate_bias_field
from monai_transfer.imaging.n4 import N4Settings
from monai_transfer.transforms.naming import file_of, subject_of


class CorrectBiasField(Transform):
    """Divide each channel of an image by its own bias field.

    Args:
        settings: of N4; ``None``: the defaults.
        spacing_mm: voxel edges of images that are no ``MetaTensor``; ``None``: there are none such.
        backend: see :func:`~monai_transfer.imaging.bias_field.estimate_bias_field`.

    Example:
        >>> image = torch.rand(1, 20, 20, 20) + 9
        >>> image *= torch.linspace(0.8, 1.2, 20)[:, None, None]
        >>> flat = CorrectBiasField(spacing_mm=(3, 3, 3))(image, torch.ones(1, 20, 20, 20))
        >>> bool(flat.std() < image.std() / 2)
        True
    """

    def __init__(
        self,
        settings: N4Settings | None = None,
        *,
        spacing_mm: Sequence[float] | None = None,
        backend: str = "torch",
    ) -> None:
        self.spacing_mm = spacing_mm
        self.estimate = partial(estimate_bias_field, settings=settings, backend=backend)

    def __call__(self, image: Any, mask: Any = None) -> Any:
        """Correct an image.

        Args:
            image: (c, x, y, z) array or tensor, on any device.
            mask: (1, x, y, z), not 0 where the fields are estimated, best the brain; ``None``:
                above Otsu's threshold, for each channel.

        Returns:
            The same kind and place, float32.

        Raises:
            InputError: an unknown spacing, or as
                :func:`~monai_transfer.imaging.bias_field.estimate_bias_field`.
        """
        channels = convert_to_tensor(image, track_meta=False)
        inside = None if mask is None else convert_to_tensor(mask, track_meta=False)[0]
        corrected = torch.empty(channels.shape, device=channels.device)
        for channel, out in zip(channels, corrected, strict=True):
            field = self.estimate(channel, inside, spacing_mm=self._spacing_mm(image))
            torch.div(channel, field, out=out)
        return convert_to_dst_type(corrected, image, dtype=torch.float32)[0]

    def _spacing_mm(self, image: Any) -> Sequence[float]:
        if isinstance(image, MetaTensor):
            return [float(edge) for edge in image.pixdim]
        if self.spacing_mm is None:
            todo = "Give spacing_mm, or load it with its affine."
            raise InputError(file_of(image), "spacing", "be known", todo=todo)
        return self.spacing_mm


class CorrectBiasFieldd(MapTransform):
    """Dictionary form of :class:`CorrectBiasField`.

    Args:
        keys: of the images.
        mask_key: of the mask they share; ``None``: above Otsu's threshold.
        settings: see :class:`CorrectBiasField`.
        spacing_mm: likewise.
        backend: likewise.

    Raises:
        InputError: on use, as :class:`CorrectBiasField`, naming the subject.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mask_key: str | None = None,
        *,
        settings: N4Settings | None = None,
        spacing_mm: Sequence[float] | None = None,
        backend: str = "torch",
    ) -> None:
        super().__init__(keys)
        self.mask_key = mask_key
        self.transform = CorrectBiasField(settings, spacing_mm=spacing_mm, backend=backend)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Correct every image of a subject."""
        result = dict(data)
        mask = None if self.mask_key is None else result[self.mask_key]
        for key in self.key_iterator(result):
            try:
                result[key] = self.transform(result[key], mask)
            except InputError as error:
                where = subject_of(data, key)
                raise InputError(
                    where, error.what, error.rule, got=error.got, todo=error.todo
                ) from error
        return result
