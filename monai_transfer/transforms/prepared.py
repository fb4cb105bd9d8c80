"""Notice of images that were not prepared as the model's source was."""

import warnings
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from monai_transfer.errors import InputError
from monai_transfer.imaging.expectations import check_prepared
from monai_transfer.imaging.nyul import StandardScale
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.transforms.naming import blamed_on, subject_of


class CheckPreparedd(MapTransform):
    """:func:`~monai_transfer.imaging.expectations.check_prepared` as a MONAI transform.

    What is sure is refused. Of what is only likely a warning tells, and the subject passes.

    Args:
        keys: of (c, x, y, z) MetaTensors, as stored.
        recipe: that they should have been prepared by.
        scale: see :func:`~monai_transfer.imaging.expectations.check_prepared`.
        modalities: likewise.

    Raises:
        InputError: on use, naming the subject and all that is wrong with it, if any of it is sure.

    Warns:
        UserWarning: likewise, if none of it is.
    """

    def __init__(
        self,
        keys: KeysCollection,
        recipe: Recipe,
        *,
        scale: StandardScale | None = None,
        modalities: Sequence[str] = (),
    ) -> None:
        super().__init__(keys)
        self.recipe = recipe
        self.check = partial(check_prepared, recipe=recipe, scale=scale, modalities=modalities)

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Look at every image; the data pass through."""
        for key in self.key_iterator(dict(data)):
            image = data[key]
            with blamed_on(subject_of(data, key)):
                found = self.check(convert_to_numpy(image), image.affine.numpy())
            if not found:
                continue
            name = self.recipe.name
            fault = InputError(
                subject_of(data, key),
                str(key),
                f"be prepared as for {name} ({self.recipe.paper})",
                got="; ".join(finding.told for finding in found),
                todo=f"Run monai-transfer preprocess with --preset {name}; to take images as they "
                "are, give a bundle --prepared '$None'.",
            )
            if any(finding.sure for finding in found):
                raise fault
            warnings.warn(f"{fault}", stacklevel=2)
        return data
