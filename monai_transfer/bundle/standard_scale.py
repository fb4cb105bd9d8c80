"""Where a source's standard scale is, so that new scans are brought to it."""

import os
from pathlib import Path

from monai_transfer.bundle.location import bundles_dir
from monai_transfer.errors import InputError
from monai_transfer.imaging.nyul import SCALE_FILE


def standard_scale_file(given: str | os.PathLike[str]) -> Path:
    """The file of a standard scale, by itself or by what holds it.

    Args:
        given: the file; a folder with one: of a bundle, or of a cohort that was prepared; or the
            name of a bundle in :func:`~monai_transfer.bundle.location.bundles_dir`.

    Raises:
        InputError: nothing there, or a folder without a scale.

    Example:
        >>> standard_scale_file("ms_source").relative_to(bundles_dir()).as_posix()
        'ms_source/configs/standard_scale.json'
    """
    path = next((p for p in (Path(given), bundles_dir() / given) if p.exists()), None)
    if path is None:
        names = sorted(found.parents[1].name for found in bundles_dir().glob(f"*/*/{SCALE_FILE}"))
        rule = f"be a file, a folder, or a bundle with one ({', '.join(names) or 'there is none'})"
        raise InputError("options", "standard scale", rule, got=os.fspath(given))
    if path.is_file():
        return path
    places = (path / "configs" / SCALE_FILE, path / SCALE_FILE)
    held = next((place for place in places if place.is_file()), None)
    if held is None:
        todo = "Leave the option out: one is learned from the training subjects."
        raise InputError(path.resolve().name, "folder", f"hold {SCALE_FILE}", todo=todo)
    return held
