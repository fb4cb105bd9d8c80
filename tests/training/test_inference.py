import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from torch import nn

from monai_transfer.networks import PathologyUNet
from monai_transfer.training import (
    AutocastInferer,
    VolumeInferer,
    autocast,
    on_device,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return on_device(PathologyUNet(2, 3, filters=2, resolution_steps=3), CPU).eval()


def image_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def with_bfloat16(monkeypatch):
    """Emulated where the processor has none."""
    monkeypatch.setattr(autocast, "has_bfloat16", lambda _device: True)


@pytest.mark.parametrize("shape", [(16, 16, 16), (16, 8, 12), (8, 8, 8)])
@torch.no_grad()
def test_a_volume_that_fits_goes_through_whole(shape, network):
    image = image_of(*shape)
    output = VolumeInferer((16, 16, 16), amp=False)(image, network)
    torch.testing.assert_close(output, network(image), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 16, 16), (24, 20, 28), (17, 8, 16)])
@pytest.mark.parametrize("options", [{}, {"mode": "constant", "overlap": 0.5}])
@torch.no_grad()
def test_a_larger_volume_is_cut_as_by_monai(shape, options, network):
    image = image_of(*shape)
    ours = VolumeInferer((16, 16, 16), amp=False, **options)(image, network)
    settings = {"mode": "gaussian", "overlap": 0.25} | options
    theirs = SlidingWindowInferer((16, 16, 16), 1, **settings)(image, network)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_windows_are_only_cut_along_axes_that_are_too_long():
    sizes = []

    def network(window):
        sizes.append(tuple(window.shape))
        return window[:, :1]

    VolumeInferer((8, 8, 8), overlap=0.0)(image_of(8, 20, 8), network)
    assert sizes == [(1, 2, 8, 8, 8)] * 3
    sizes.clear()
    VolumeInferer((8, 20, 8))(image_of(8, 20, 8), network)
    assert sizes == [(1, 2, 8, 20, 8)]


def test_several_windows_may_share_a_forward_pass():
    batches = []

    def network(window):
        batches.append(len(window))
        return window

    image = image_of(8, 16, 16)
    output = VolumeInferer((8, 8, 8), overlap=0.0, sw_batch_size=3)(image, network)
    assert batches == [3, 1]
    torch.testing.assert_close(output, image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@torch.no_grad()
def test_logits_are_float32_whatever_the_images_type(dtype):
    image = MetaTensor(image_of(8, 8, 8).to(dtype))
    for amp in (True, False):
        output = VolumeInferer((8, 8, 8), amp=amp)(image, lambda x: x * 2)
        assert output.dtype == torch.float32


@torch.no_grad()
def test_bfloat16_is_used_where_wanted_and_comes_close(network, with_bfloat16):
    seen = []
    hook = network.head.output.register_forward_hook(lambda *a: seen.append(a[-1].dtype))
    image = image_of(16, 16, 16)
    fast, exact = (VolumeInferer((16,) * 3, amp=amp)(image, network) for amp in (True, False))
    hook.remove()
    assert seen == [torch.bfloat16, torch.float32]
    assert fast.dtype == exact.dtype == torch.float32
    difference = (fast - exact).abs().max().item()
    assert 0 < difference < 0.03 * exact.abs().max().item()  # 8 bits of mantissa, ten layers


@torch.no_grad()
def test_windows_are_in_bfloat16_too(network, with_bfloat16):
    image = image_of(24, 16, 16)
    fast, exact = (VolumeInferer((16,) * 3, amp=amp)(image, network) for amp in (True, False))
    assert 0 < (fast - exact).abs().max().item() < 0.03 * exact.abs().max().item()


@torch.no_grad()
def test_without_the_hardware_amp_changes_nothing(network, monkeypatch):
    monkeypatch.setattr(autocast, "has_bfloat16", lambda _device: False)
    image = image_of(8, 8, 8)
    amp, plain = (VolumeInferer((8,) * 3, amp=amp)(image, network) for amp in (True, False))
    assert torch.equal(amp, plain)


@pytest.mark.parametrize("shape", [(8, 8, 8), (8, 8, 16)])
def test_geometry_is_carried_outside_training_only(shape):
    image = MetaTensor(image_of(*shape), affine=torch.diag(torch.tensor([2.0, 2, 3, 1])))
    image.meta["filename_or_obj"] = "t1.nii.gz"
    inferer = VolumeInferer((8, 8, 8))
    with torch.no_grad():
        output = inferer(image, lambda x: x)
    assert isinstance(output, MetaTensor)
    assert torch.equal(output.affine, image.affine)
    assert output.meta["filename_or_obj"] == "t1.nii.gz"
    assert type(inferer(image, lambda x: x)) is torch.Tensor
    with torch.no_grad():
        assert type(inferer(image.as_tensor(), lambda x: x)) is torch.Tensor


def test_the_network_sees_a_plain_channels_last_tensor():
    def network(image):
        assert type(image) is torch.Tensor
        assert image.is_contiguous(memory_format=torch.channels_last_3d)
        return image

    VolumeInferer((8, 8, 8))(MetaTensor(image_of(8, 8, 8)), network)


def test_gradients_flow_as_in_a_plain_forward_pass():
    gradients = []
    for forward in (VolumeInferer((8, 8, 8), amp=False), lambda image, net: net(image)):
        torch.manual_seed(1)
        network = PathologyUNet(2, 3, filters=2, resolution_steps=2)
        forward(image_of(8, 8, 8), network).square().mean().backward()
        gradients.append([p.grad for p in network.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert all(g.abs().sum() > 0 for g in gradients[0])


def test_further_arguments_reach_the_network():
    def network(image, scale, *, offset):
        return image * scale + offset

    image = image_of(8, 8, 16)
    for window in ((8, 8, 8), (8, 8, 16)):
        output = VolumeInferer(window)(image, network, 3.0, offset=1.0)
        torch.testing.assert_close(output, image * 3 + 1)


@pytest.mark.gpu
@torch.no_grad()
def test_a_gpu_gives_what_the_cpu_gives(network):
    image = image_of(24, 16, 16)
    cuda = torch.device("cuda")
    copy = on_device(PathologyUNet(2, 3, filters=2, resolution_steps=3), cuda).eval()
    copy.load_state_dict(network.state_dict())
    expected = VolumeInferer((16,) * 3, amp=False)(image, network)
    inferer = VolumeInferer((16,) * 3, amp=True)
    output = inferer(image.to(cuda), copy)
    assert output.device.type == "cuda"
    assert output.dtype == torch.float32
    assert (output.cpu() - expected).abs().max() < 0.03 * expected.abs().max()


def test_a_batch_goes_through_in_bfloat16_where_wanted_and_comes_back_in_float32(with_bfloat16):
    seen: list[torch.Tensor] = []

    def network(image: torch.Tensor) -> torch.Tensor:
        seen.append(nn.functional.conv2d(image, torch.ones(1, 2, 3, 3)))
        return seen[-1]

    image = torch.rand(2, 2, 8, 8)
    fast, exact = (AutocastInferer(amp=amp)(image, network) for amp in (True, False))
    assert [found.dtype for found in seen] == [torch.bfloat16, torch.float32]
    assert all(found.is_contiguous(memory_format=torch.channels_last) for found in seen)
    assert fast.dtype == exact.dtype == torch.float32
    assert torch.equal(exact, nn.functional.conv2d(image, torch.ones(1, 2, 3, 3)))
    torch.testing.assert_close(fast, exact, rtol=0.02, atol=0.02)
