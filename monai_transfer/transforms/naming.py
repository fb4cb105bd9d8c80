"""What messages call a subject."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from monai.data import MetaTensor

from monai_transfer.errors import InputError


def file_of(image: Any) -> str:
    """Name of the file an image was loaded from, the first of several; ``image`` if unknown.

    Example:
        >>> file_of(MetaTensor([0.0], meta={"filename_or_obj": "data/sub-01_t1.nii.gz"}))
        'sub-01_t1.nii.gz'
    """
    known = isinstance(image, MetaTensor) and "filename_or_obj" in image.meta
    return PurePath(str(image.meta["filename_or_obj"])).name if known else "image"


def subject_of(data: Mapping[Hashable, Any], key: Hashable) -> str:
    """Name of the subject that a dictionary of images is of; without one, of its file.

    Example:
        >>> subject_of({"image": None, "subject": "sub-01"}, "image")
        'sub-01'
    """
    return str(data.get("subject") or file_of(data[key]))


@contextmanager
def blamed_on(where: str) -> Iterator[None]:
    """An input error of the body says that the fault is there.

    Example:
        >>> with blamed_on("sub-01"):
        ...     raise InputError("image", "channel 0", "be finite")
        Traceback (most recent call last):
        monai_transfer.errors.InputError: sub-01: channel 0 must be finite.
    """
    try:
        yield
    except InputError as fault:
        raise InputError(where, fault.what, fault.rule, got=fault.got, todo=fault.todo) from fault
