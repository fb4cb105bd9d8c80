from pathlib import Path

import numpy as np
import pytest

from monai_transfer.bundle import bundles_dir, standard_scale_file
from monai_transfer.errors import InputError
from monai_transfer.imaging import landmarks, learn_standard_scale, read_standard_scale
from monai_transfer.imaging.nyul import SCALE_FILE, StandardScale, write_standard_scale
from monai_transfer.simulation import MODALITIES, simulate_subject


def test_a_bundle_by_name_or_folder_and_the_file_are_the_same_scale():
    folder = bundles_dir() / "ms_source"
    file = folder / "configs" / SCALE_FILE
    for given in ("ms_source", folder, str(folder), file):
        assert standard_scale_file(given) == file


def test_a_prepared_cohort_stands_for_its_scale(tmp_path: Path):
    write_standard_scale(StandardScale({}, 1), tmp_path / SCALE_FILE)
    assert standard_scale_file(tmp_path) == tmp_path / SCALE_FILE


def test_what_lies_here_comes_before_a_bundle_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_standard_scale(StandardScale({}, 1), Path("ms_source") / SCALE_FILE)
    assert standard_scale_file("ms_source") == Path("ms_source") / SCALE_FILE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ms_sauce", r"standard scale must be a file, .* \(ms_source\), got ms_sauce\.$"),
        ("brats_ft", r"brats_ft: folder must hold standard_scale\.json\. Leave the option out"),
    ],
)
def test_what_holds_no_scale_is_refused(given: str, message: str):
    with pytest.raises(InputError, match=message):
        standard_scale_file(given)


def test_the_scale_of_ms_source_is_that_of_simulated_patients():
    """Of others, at 3 mm: landmarks vary by 7 between patients, partial volume moves them too."""
    shipped = read_standard_scale(standard_scale_file("ms_source"))
    assert shipped.subjects == 128
    assert "simulated" in shipped.origin
    cohort = (simulate_subject("ms", index, spacing_mm=3.0, seed=2) for index in range(8))
    found = learn_standard_scale([landmarks(s.image, s.image[0] > 0) for s in cohort], MODALITIES)
    assert tuple(shipped.landmarks) == MODALITIES
    own = {name: np.array(values) for name, values in found.landmarks.items()}
    for name, values in shipped.landmarks.items():
        off = {other: float(np.abs(mine - values).max()) for other, mine in own.items()}
        assert off[name] < 7.5, name
        if name in ("t2", "flair"):  # T1 before and after contrast agent are alike
            assert off[name] == min(off.values())
