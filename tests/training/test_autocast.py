from collections.abc import Callable

import pytest
import torch
from torch import nn

from monai_transfer.training import autocast, bfloat16, has_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "answer"),
    [
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({}, False),
    ],
)
def test_bfloat16_is_native_where_the_processor_says_so(capabilities, answer, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bfloat16(CPU) is answer


def test_a_torch_that_cannot_tell_means_no(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert has_bfloat16(CPU) is False


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch):
    """bfloat16 is there, emulated where the processor has none."""
    monkeypatch.setattr(autocast, "has_bfloat16", lambda _device: True)


def gradient(layer: nn.Module, image: torch.Tensor, *, amp: bool) -> tuple[torch.Tensor, ...]:
    """A layer's output and the gradient of its weights, after memory was strewn with NaN."""
    layer.zero_grad()
    strewn = [torch.full((2**n,), float("nan"), dtype=torch.bfloat16) for n in range(4, 18)]
    del strewn
    with bfloat16(CPU, wanted=amp):
        output = layer(image)
    output.float().square().sum().backward()
    assert isinstance(layer.weight, torch.Tensor)
    assert layer.weight.grad is not None
    return output, layer.weight.grad.clone()


SMALL = {
    "depth 2": (lambda: nn.Conv3d(16, 16, 3, padding=1), (2, 6, 6)),
    "one voxel": (lambda: nn.Conv3d(16, 16, 3, padding=1), (1, 1, 1)),
    "width 1": (lambda: nn.Conv2d(16, 16, 3, stride=2, padding=1), (4, 1)),
    "transposed": (lambda: nn.ConvTranspose3d(16, 16, 3, stride=2, padding=1), (3, 2, 2)),
    "unbatched": (lambda: nn.Conv2d(16, 16, 7, padding=3), (8, 6)),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.usefixtures("emulated")
def test_what_is_smaller_than_its_kernel_is_in_float32_and_right(name: str):
    make, shape = SMALL[name]
    layer, batch = make(), () if name == "unbatched" else (2,)
    image = torch.randn(*batch, 16, *shape)
    output, found = gradient(layer, image, amp=True)
    expected, wanted = gradient(layer, image, amp=False)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(found, wanted)


LARGE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "as large": (lambda: nn.Conv3d(16, 16, 3, padding=1), (3, 3, 3)),
    "1³ kernel": (lambda: nn.Conv3d(16, 16, 1), (1, 1, 1)),
    "larger": (lambda: nn.Conv2d(16, 16, 4, stride=2, padding=1), (6, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(16, 16, 2, stride=2), (2, 4)),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.usefixtures("emulated")
def test_other_convolutions_are_in_bfloat16_and_right(name: str):
    make, shape = LARGE[name]
    layer, image = make(), torch.randn(2, 16, *shape)
    output, found = gradient(layer, image, amp=True)
    _, wanted = gradient(layer, image, amp=False)
    assert output.dtype == torch.bfloat16
    assert (found - wanted).norm() < 0.03 * wanted.norm()


def test_without_the_hardware_all_is_in_float32(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(autocast, "has_bfloat16", lambda _device: False)
    with bfloat16(CPU, wanted=True):
        assert nn.Conv2d(1, 1, 3)(torch.ones(1, 1, 4, 4)).dtype == torch.float32
