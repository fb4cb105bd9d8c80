"""From a training to a zip, and from the zip to segmentations by somebody else."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.bundle import export

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def test_an_exported_model_segments_as_its_run_did(
    finished: Any, room: Any, run: Callable[..., str], tmp_path: Path
):
    if not finished.about.segments:
        pytest.skip("its run leaves no label maps")
    archive = export(
        room.bundle(finished.name), finished.folder / "model.pt", output=tmp_path / "mine.zip"
    )
    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path / "received")
    data = {"dataset_dir": str(room.cohort(finished.name)), "manifest": finished.about.manifest}
    run(tmp_path / "received" / "mine" / "inference.json", output_dir="out", **data)
    (tested,) = (finished.folder / "predictions").iterdir()
    ours, theirs = (np.asanyarray(nib.load(p).dataobj) for p in (tested, Path("out", tested.name)))
    np.testing.assert_array_equal(ours, theirs)
