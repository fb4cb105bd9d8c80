import json
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.record import RECORD, manifests_named

WMH = "simulated_wmh_baseline, simulated_wmh_followup"


def refused(folder: Path, manifest: str) -> str:
    with pytest.raises(InputError) as error, manifests_named(folder, manifest):
        raise InputError("rundmc", "subjects", "be free of faults", got=2, todo="All of them: …")
    return str(error.value)


@pytest.mark.parametrize(
    ("record", "names"),
    [
        ({"disease": "wmh", "raw": False}, WMH),
        ({"disease": "wmh"}, WMH),
        ({"disease": "ms", "raw": True}, "simulated_ms_raw"),
    ],
)
def test_a_simulated_folder_is_answered_with_the_manifests_that_describe_it(
    record: dict[str, Any], names: str, tmp_path: Path
):
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert refused(tmp_path, "rundmc_followup") == (
        "rundmc: subjects must be free of faults, got 2. "
        f"The folder was simulated; it is described by {names}. All of them: …"
    )


def test_one_of_prepared_images_is_answered_with_the_manifest_in_it(tmp_path: Path):
    (tmp_path / RECORD).write_text('{"disease": "ms", "raw": true, "prepared_by": "g17"}')
    told = f"it is described by {tmp_path.as_posix()}/manifest.json. All"
    assert told in refused(tmp_path, "openms2017")


def test_faults_of_real_data_and_of_a_manifest_that_fits_are_left_as_they_are(tmp_path: Path):
    assert "simulated" not in refused(tmp_path, "rundmc_followup")
    (tmp_path / RECORD).write_text('{"disease": "wmh", "raw": false}')
    assert "simulated" not in refused(tmp_path, "simulated_wmh_followup")


def test_where_all_is_well_nothing_is_said(tmp_path: Path):
    (tmp_path / RECORD).write_text('{"disease": "wmh", "raw": false}')
    with manifests_named(tmp_path, "rundmc_followup"):
        pass
