import zipfile
from pathlib import Path

import pytest
import torch

from monai_transfer.bundle.torchscript import without_debug_records
from monai_transfer.networks import PathologyUNet

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def test_the_paths_of_the_code_are_gone_and_the_network_is_the_same(tmp_path: Path):
    network = torch.jit.script(PathologyUNet(2, 3).eval())
    path = tmp_path / "model.ts"
    extra = {"metadata.json": '{"version": "0.1.0"}'}
    torch.jit.save(network, str(path), _extra_files=extra)
    here = str(Path(__file__).resolve().parents[2]).encode()

    def told(path: Path) -> list[str]:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if here in archive.read(name)]

    assert told(path)  # as torch writes it
    without_debug_records(path)
    assert told(path) == []
    assert [file.name for file in tmp_path.iterdir()] == ["model.ts"]
    kept = {"metadata.json": ""}
    loaded = torch.jit.load(str(path), _extra_files=kept)
    image = torch.rand(1, 2, 16, 16, 24)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))
    assert kept["metadata.json"] == extra["metadata.json"].encode()
