import subprocess
import sys
from pathlib import Path

import pytest

import monai_transfer.bundle
from monai_transfer.bundle import bundles_dir, expected_recipe, siblings
from monai_transfer.bundle.location import cache_dir, config_files


def test_our_bundles_are_those_of_the_checkout():
    assert bundles_dir() == Path(__file__).resolve().parents[2] / "bundles"


def test_without_a_checkout_they_are_looked_for_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    elsewhere = tmp_path / "site-packages" / "monai_transfer" / "bundle" / "location.py"
    monkeypatch.setattr("monai_transfer.bundle.location.__file__", str(elsewhere))
    assert bundles_dir() == Path("bundles")


def test_a_source_is_looked_for_beside_the_bundle_first():
    assert siblings("/models/mine") == [Path("/models"), bundles_dir()]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MONAI_TRANSFER_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"MONAI_TRANSFER_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/monai_transfer"),
        ({"HOME": "/home/ada"}, "/home/ada/.cache/monai_transfer"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("MONAI_TRANSFER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)


def test_listing_bundles_loads_neither_monai_nor_torch_nor_numpy():
    script = (
        "import sys\n"
        "from monai_transfer.bundle import list_bundles\n"
        "assert list_bundles()\n"
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "monai_transfer" in loaded
    assert not loaded & {"ignite", "monai", "nibabel", "numpy", "pandas", "torch"}


def test_every_public_name_is_there_and_no_other():
    for name in monai_transfer.bundle.__all__:
        assert getattr(monai_transfer.bundle, name).__name__ == name
    assert dir(monai_transfer.bundle) == sorted(monai_transfer.bundle.__all__)
    with pytest.raises(AttributeError, match="no attribute 'bundle_dir'"):
        _ = monai_transfer.bundle.bundle_dir


def test_neither_metadata_nor_a_scale_is_a_config(tmp_path: Path):
    for name in ("train.json", "metadata.json", "standard_scale.json", "evaluate.json"):
        (tmp_path / name).write_text("{}")
    assert [path.name for path in config_files(tmp_path)] == ["evaluate.json", "train.json"]


def test_a_bundle_says_how_its_images_must_be_prepared(tmp_path: Path):
    (tmp_path / "configs").mkdir()
    metadata = tmp_path / "configs" / "metadata.json"
    metadata.write_text('{"preprocessing": {"name": "k19"}}')
    assert expected_recipe(str(tmp_path)) == {"name": "k19"}
    metadata.write_text("{}")
    assert expected_recipe(str(tmp_path)) is None
    assert expected_recipe(str(tmp_path / "configs")) is None
