"""Networks that transfer must work on: MONAI's and torchvision's, each as small as it gets."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from monai.networks import nets
from torch import nn


class PatchNetwork(nn.Module):
    """Ghafoorian's depth in small: twelve convolutions and three dense layers."""

    parts = ("convolutions", "dense", "head")
    input_layers, output_layer = {"convolutions.0": 0}, "head"
    example_shape = (2, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        convolutions, dense = [], []
        for i in range(12):
            convolutions += [nn.Conv2d(3 if i else 2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()]
        for width in (3 * 8 * 8, 4):
            dense += [nn.Linear(width, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3)]
        self.convolutions = nn.Sequential(*convolutions, nn.Flatten())
        self.dense = nn.Sequential(*dense)
        self.head = nn.Linear(4, 2)

    def forward(self, patch: torch.Tensor) -> torch.Tensor:
        return self.head(self.dense(self.convolutions(patch)))


class Case(NamedTuple):
    """A network, an image it takes (``None``: as it declares), how many layers it has."""

    build: Callable[[], nn.Module]
    example: tuple[int, ...] | None
    layers: int
    needs: str = "torch"


def _resnet50() -> nn.Module:
    models = importlib.import_module("torchvision.models")  # see the fixture torchvision_models
    network: nn.Module = models.resnet50()
    return network


def _dyn_unet() -> nn.Module:
    three, steps = [3] * 4, [1, 2, 2, 2]
    options = {"filters": [2, 4, 4, 4], "res_block": True, "deep_supervision": True}
    return nets.DynUNet(3, 1, 2, three, steps, steps[1:], deep_supr_num=2, **options)


CASES = {
    "PatchNetwork": Case(PatchNetwork, None, 15),
    "UNet": Case(
        lambda: nets.UNet(
            3, 1, 2, (2, 4, 4), (2, 2), num_res_units=2, act="prelu", norm="batch", dropout=0.1
        ),
        (1, 16, 16, 16),
        12,
    ),
    "BasicUNet": Case(
        lambda: nets.BasicUNet(3, 1, 2, features=(2, 2, 4, 4, 4, 2)), (1, 32, 32, 32), 23
    ),
    "SegResNet": Case(
        lambda: nets.SegResNet(3, 8, 1, 2, dropout_prob=0.2, blocks_down=(1, 1), blocks_up=(1,)),
        (1, 8, 8, 8),
        10,
    ),
    "DynUNet": Case(_dyn_unet, (1, 16, 16, 16), 24),
    "SwinUNETR": Case(
        lambda: nets.SwinUNETR(
            1, 2, depths=(1,) * 4, num_heads=(1,) * 4, feature_size=12, spatial_dims=2
        ),
        (1, 64, 64),
        53,
        "einops",
    ),
    "UNETR": Case(
        lambda: nets.UNETR(
            1, 2, (32, 32), feature_size=2, hidden_size=12, mlp_dim=8, num_heads=2, spatial_dims=2
        ),
        (1, 32, 32),
        81,
        "einops",
    ),
    "DenseNet121": Case(
        lambda: nets.DenseNet121(2, 1, 2, init_features=8, growth_rate=4), (1, 32, 32), 121
    ),
    "resnet50": Case(_resnet50, (3, 64, 64), 54, "torchvision"),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each network in turn; skipped where the package that it needs is not installed."""
    found: Case = request.param
    if found.needs == "torchvision":
        request.getfixturevalue("torchvision_models")
    elif find_spec(found.needs) is None:
        pytest.skip(f"needs {found.needs}")
    return found


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of torch's downloads that is empty, instead of the user's."""
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def publish(hub: Path) -> Callable[..., Path]:
    """Saves a state dict among the downloads, under a name that ends in its digest."""

    def save(start: str, state: Mapping[str, torch.Tensor], *, digits: int = 8) -> Path:
        torch.save(state, hub / "new")
        digest = hashlib.sha256((hub / "new").read_bytes()).hexdigest()
        return (hub / "new").rename(hub / f"{start}-{digest[:digits]}.pth")

    return save
