"""TorchScript archives without what they tell about the machine they were made on."""

import zipfile
from pathlib import Path

from monai_transfer._files import written_aside


def without_debug_records(path: str | Path) -> None:
    """Rewrite a TorchScript file without its debug records, in place.

    They hold the path of every Python file that the network's code came from, and with it the name
    of a user; they serve the tracebacks of errors inside the network, and nothing else.

    Args:
        path: as written by ``torch.jit.save``.
    """
    target = Path(path)
    with (
        written_aside(target) as aside,
        zipfile.ZipFile(target) as old,
        zipfile.ZipFile(aside, "w") as new,
    ):
        for record in old.infolist():
            if not record.filename.endswith(".debug_pkl"):
                fresh = zipfile.ZipInfo(record.filename)
                fresh.compress_type = record.compress_type
                new.writestr(fresh, old.read(record))
