import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.networks.nets import UNet

from monai_transfer.bundle import bundles_dir, read_architecture
from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet

UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": "@channels",
    "out_channels": "$len( @names )",
    "channels": "@sizes#widths",
    "strides": [2],
    "act": ["prelu", {"init": 0.2}],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A foreign bundle with a network, and images of whatever size."""

    def write(network: Any = UNET, *, spatial_shape: Any = ("8*n", "*", 16), **more: Any) -> Path:
        folder = tmp_path / "foreign"
        (folder / "configs").mkdir(parents=True, exist_ok=True)
        config = {"channels": 2, "names": ["a", "b", "c"], "sizes": {"widths": [2, 4]}, **more}
        config["network_def"] = network
        (folder / "configs" / "inference.json").write_text(json.dumps(config))
        image = {"num_channels": 2, "spatial_shape": spatial_shape}
        metadata = {"network_data_format": {"inputs": {"image": image}}}
        (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
        return folder

    return write


@pytest.mark.parametrize("name", ["brats_ft", "ms_source"])
def test_our_bundles_are_read_by_name_without_trust(name: str):
    read = read_architecture(name, search=[bundles_dir()])
    assert isinstance(read.network, PathologyUNet)
    assert (read.name, read.example) == (name, (4, 16, 16, 16))


def test_a_foreign_network_is_built_from_plain_values_and_references(write: Callable[..., Path]):
    read = read_architecture(write(), size=24)
    assert isinstance(read.network, UNet)
    assert (read.network.in_channels, read.network.out_channels) == (2, 3)
    assert read.network.channels == [2, 4]
    assert (read.name, read.example) == ("foreign", (2, 8, 24, 16))


@pytest.mark.parametrize("nested", [True, False])
def test_a_zip_is_read_without_its_weights(
    write: Callable[..., Path], tmp_path: Path, *, nested: bool
):
    folder = write()
    (folder / "models").mkdir()
    (folder / "models" / "model.pt").write_bytes(b"not needed")
    root, base = (tmp_path, folder.name) if nested else (folder, ".")
    archive = shutil.make_archive(str(tmp_path / "sent"), "zip", root, base)
    read = read_architecture(archive)
    assert isinstance(read.network, UNet)
    assert read.name == "sent"


CODE = "$__import__('pathlib').Path('executed').touch() or 2"


@pytest.mark.parametrize(
    "network",
    [
        CODE,
        UNET | {"in_channels": CODE},
        UNET | {"in_channels": "@code"},
        UNET | {"_requires_": CODE},
        UNET | {"act": [{"inner": [CODE]}]},
        UNET | {"_target_": CODE},
        UNET | {"in_channels": "%other.json::channels"},
        {"_target_": "pathlib.Path.touch", "self": "executed"},
        {"_target_": "scripts.network.Network"},
        {"_target_": "monai.networks.utils.torch.hub.load", "repo_or_dir": "somebody/something"},
        {"_target_": "download_url", "url": "https://example.org", "filepath": "executed"},
    ],
    ids=str,
)
def test_what_would_run_code_is_refused_and_not_run(
    network: Any, write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"foreign: network_def must name networks .*--trust"):
        read_architecture(write(network, code=CODE))
    assert not (tmp_path / "executed").exists()


def test_a_trusted_bundle_runs_its_expressions_and_modules(write: Callable[..., Path]):
    folder = write({"_target_": "trusted_scripts.Network", "width": "$1 + @channels"})
    (folder / "trusted_scripts.py").write_text(
        "from torch import nn\n\nclass Network(nn.Linear):\n"
        "    def __init__(self, width):\n        super().__init__(width, 1)\n"
    )
    assert read_architecture(folder, trust=True).network.in_features == 3


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (3, {}, "foreign: network_def must be a network, got int"),
        (UNET | {"in_channels": "@chanels"}, {}, "must refer to what is there, got @chanels"),
        (UNET | {"in_channels": "@code"}, {"code": "@code"}, "not refer to itself, got @code"),
        (UNET, {"spatial_shape": None}, "foreign metadata.json: it must say num_channels"),
    ],
)
def test_what_cannot_be_read_is_refused(
    network: Any, options: dict[str, Any], message: str, write: Callable[..., Path]
):
    with pytest.raises(InputError, match=message):
        read_architecture(write(network, **options))


def test_a_bundle_without_a_network_is_refused(write: Callable[..., Path]):
    folder = write()
    (folder / "configs" / "inference.json").write_text("{}")
    with pytest.raises(InputError, match="foreign: bundle must have network_def"):
        read_architecture(folder)
    with pytest.raises(InputError, match="must be a folder or a zip"):
        read_architecture(folder / "configs" / "inference.json")
