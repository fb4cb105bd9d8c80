from itertools import product

import pytest
import torch
import torch.distributed as dist
from monai.data import MetaTensor
from torch import nn
from torch.nn.functional import pad

from monai_transfer.errors import InputError
from monai_transfer.networks import PatchCNN
from monai_transfer.training import (
    SKIPPED_LOGIT,
    FullyConvolutionalInferer,
    fold_threshold,
)


@pytest.fixture(scope="module")
def network() -> PatchCNN:
    torch.manual_seed(0)
    network = PatchCNN(2, filters=(4, 6, 5), dense=(8, 6))
    network.train()
    for _ in range(3):  # so that the norms are no identity
        network(torch.rand(16, 2, 32, 32))
    return network.eval()


def brain_of(*boxes: tuple[int, int, int, int, int], shape=(1, 2, 25, 22, 6)) -> torch.Tensor:
    """Zero but for boxes (x from, to, y from, to, z), where both channels are in (0.5, 1.5)."""
    volume = torch.zeros(shape)
    for a, b, c, d, z in boxes:
        volume[:, :, a:b, c:d, z] = 0.5 + torch.rand(
            *shape[:2], b - a, d - c, generator=torch.Generator().manual_seed(z)
        )
    return volume


BRAIN = brain_of((4, 9, 3, 8, 1), (6, 12, 5, 9, 2), (0, 3, 18, 22, 4))


def patch_by_patch(volume: torch.Tensor, network: PatchCNN) -> torch.Tensor:
    """Logits of every voxel from its own patch, zeros around the slice."""
    padded = pad(volume, (0, 0, 16, 16, 16, 16))
    x, y, z = volume.shape[2:]
    logits = [
        network(padded[:, :, i : i + 32, j : j + 32, k])
        for i, j, k in product(range(x), range(y), range(z))
    ]
    return torch.stack(logits, dim=-1).unflatten(-1, (x, y, z))


def exact(**options: object) -> FullyConvolutionalInferer:
    return FullyConvolutionalInferer(amp=False, **options)


@pytest.mark.parametrize("fold_norms", [False, True])
@torch.no_grad()
def test_every_voxel_gets_what_the_patch_network_gives_for_its_patch(fold_norms, network):
    volume = torch.rand(2, 2, 9, 7, 3)
    logits = exact(fold_norms=fold_norms)(volume, network)
    torch.testing.assert_close(logits, patch_by_patch(volume, network), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_boxes_of_brain_get_the_same_and_what_is_skipped_the_constant(network):
    logits = exact()(BRAIN, network)
    truth = patch_by_patch(BRAIN, network)
    asked = torch.zeros(25, 22, 6, dtype=torch.bool)
    for a, b, c, d, z in ((4, 9, 3, 8, 1), (6, 12, 5, 9, 2), (0, 3, 18, 22, 4)):
        asked[a:b, c:d, z] = True
    torch.testing.assert_close(logits[..., asked], truth[..., asked], rtol=1e-5, atol=1e-5)
    assert logits[0, 0, ~asked].unique().tolist() == [SKIPPED_LOGIT]
    assert logits[0, 1, ~asked].unique().tolist() == [0.0]


@torch.no_grad()
def test_zeros_inside_the_brain_are_asked_and_a_voxel_of_one_channel_is_brain(network):
    volume = torch.zeros(1, 2, 9, 9, 1)
    volume[0, 0, 2, 2], volume[0, 1, 6, 5] = -1.0, 1.0
    logits = exact()(volume, network)
    assert (logits[0, 0] != SKIPPED_LOGIT).nonzero().amin(dim=0).tolist() == [2, 2, 0]
    assert (logits[0, 0] != SKIPPED_LOGIT).nonzero().amax(dim=0).tolist() == [6, 5, 0]
    assert (logits[0, 0] != SKIPPED_LOGIT).sum() == 5 * 4


@pytest.mark.parametrize("max_voxels", [1, 3000, 6000, 10**9])
@torch.no_grad()
def test_the_size_of_batches_changes_nothing(max_voxels, network):
    one = exact()(BRAIN, network)
    other = exact(max_voxels=max_voxels)(BRAIN, network)
    assert torch.equal(one == SKIPPED_LOGIT, other == SKIPPED_LOGIT)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def shapes_of_batches(volume: torch.Tensor, network: PatchCNN, monkeypatch, **options):
    shapes = []
    convert = PatchCNN.to_fully_convolutional

    def watched(self, **given):
        fcn = convert(self, **given)
        fcn.register_forward_pre_hook(lambda _module, given: shapes.append(tuple(given[0].shape)))
        return fcn

    monkeypatch.setattr(PatchCNN, "to_fully_convolutional", watched)
    exact(**options)(volume, network)
    return shapes


@pytest.mark.parametrize(
    ("max_voxels", "shapes"),
    [
        # slices 1 and 2 together are 8 × 6, slice 4 with them would be the whole 12 × 19
        (2 * (8 + 31) * (6 + 31), [(2, 2, 8, 6), (1, 2, 3, 4)]),
        (2 * (8 + 31) * (6 + 31) - 1, [(1, 2, 5, 5), (1, 2, 6, 4), (1, 2, 3, 4)]),
        (3 * (12 + 31) * (19 + 31), [(3, 2, 12, 19)]),
        (1, [(1, 2, 5, 5), (1, 2, 6, 4), (1, 2, 3, 4)]),
    ],
)
def test_slices_share_a_pass_within_the_bound(max_voxels, shapes, network, monkeypatch):
    assert shapes_of_batches(BRAIN, network, monkeypatch, max_voxels=max_voxels) == shapes


def test_without_skipping_every_slice_goes_through_whole(network, monkeypatch):
    shapes = shapes_of_batches(BRAIN, network, monkeypatch, skip=False)
    assert shapes == [(6, 2, 25, 22)]


@torch.no_grad()
def test_skipping_changes_no_logit_in_the_boxes_of_brain(network):
    skipped, everything = exact()(BRAIN, network), exact(skip=False)(BRAIN, network)
    asked = skipped[:, :1].expand_as(skipped) != SKIPPED_LOGIT
    torch.testing.assert_close(skipped[asked], everything[asked], rtol=1e-5, atol=1e-5)
    assert (everything != SKIPPED_LOGIT).all()


def test_a_volume_without_brain_is_background_of_as_many_classes(network):
    logits = exact()(torch.zeros(2, 2, 5, 4, 3), network)
    assert logits.shape == (2, 2, 5, 4, 3)
    assert logits[:, 0].unique().tolist() == [SKIPPED_LOGIT]
    assert logits[:, 1].unique().tolist() == [0.0]


def test_what_is_skipped_stays_background_at_any_operating_point(network):
    other = PatchCNN(2, filters=(4, 6, 5), dense=(8, 6))
    fold_threshold(other, 1e-6)  # lesion almost everywhere
    labels = exact()(BRAIN, other).argmax(dim=1)
    assert labels[0, :, :, 3].sum() == 0
    assert labels[0, 4:9, 3:8, 1].sum() == 25


@torch.no_grad()
def test_weights_are_taken_anew_in_each_call(network):
    other = PatchCNN(2, filters=(4, 6, 5), dense=(8, 6)).train()
    inferer = exact()
    before = inferer(BRAIN, other)
    assert other.training
    other(torch.rand(16, 2, 32, 32))  # moves norms alone
    other.eval()
    after = inferer(BRAIN, other)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, exact(fold_norms=False)(BRAIN, other), rtol=1e-5, atol=1e-5)
    expected = patch_by_patch(BRAIN[..., 4:5], other)[0, :, :3, 18:, 0]
    torch.testing.assert_close(after[0, :, :3, 18:, 4], expected, rtol=1e-5, atol=1e-5)


def test_no_gradient_and_no_random_number_is_taken(network):
    state = torch.get_rng_state()
    logits = exact()(BRAIN, network)
    assert not logits.requires_grad
    assert torch.equal(torch.get_rng_state(), state)


def test_a_wrapped_network_gives_the_same(network, tmp_path):
    expected = exact()(BRAIN, network)
    assert torch.equal(exact()(BRAIN, nn.DataParallel(network)), expected)
    dist.init_process_group("gloo", f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(network)
        assert torch.equal(exact()(BRAIN, wrapped), expected)
    finally:
        dist.destroy_process_group()


@torch.no_grad()
def test_the_whole_slice_form_itself_is_taken_and_cropped_as_well(network, monkeypatch):
    shapes = []
    fcn = network.to_fully_convolutional()
    fcn.register_forward_pre_hook(lambda _module, given: shapes.append(tuple(given[0].shape)))
    logits = exact()(BRAIN, fcn)
    torch.testing.assert_close(logits, exact()(BRAIN, network), rtol=1e-5, atol=1e-5)
    assert shapes == [(3, 2, 12, 19)]


@torch.no_grad()
def test_another_network_of_slices_gets_whole_slices_that_hold_brain():
    torch.manual_seed(0)
    other = nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate")
    shapes = []

    def network(batch, factor, *, shift):
        shapes.append(tuple(batch.shape))
        return factor * other(batch) + shift

    logits = exact()(BRAIN, network, 2.0, shift=1.0)
    assert shapes == [(3, 2, 25, 22)]
    for z in range(6):
        expected = 2 * other(BRAIN[..., z]) + 1
        if z in (0, 3, 5):
            expected = torch.zeros(1, 3, 25, 22)
            expected[:, 0] = SKIPPED_LOGIT
        torch.testing.assert_close(logits[..., z], expected)


def say(monkeypatch: pytest.MonkeyPatch, **capabilities: bool) -> None:
    """What the processor answers: in torch, for there may be two of our module beside doctests."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


@torch.no_grad()
def test_bfloat16_is_used_where_wanted_and_comes_close(network, monkeypatch):
    say(monkeypatch, avx512_bf16=True)  # emulated if need be
    fcn, seen = network.to_fully_convolutional(), []
    fcn.head.output.register_forward_hook(lambda *given: seen.append(given[-1].dtype))
    fast, full = (FullyConvolutionalInferer(amp=amp)(BRAIN, fcn) for amp in (True, False))
    assert seen == [torch.bfloat16, torch.float32]
    assert fast.dtype == full.dtype == torch.float32
    asked = full[:, :1].expand_as(full) != SKIPPED_LOGIT
    difference = (fast - full).abs().max().item()
    assert 0 < difference < 0.03 * full[asked].abs().max().item()  # 8 bits of mantissa


@torch.no_grad()
def test_without_the_hardware_amp_changes_nothing(network, monkeypatch):
    say(monkeypatch, avx512_bf16=False)
    amp, plain = (FullyConvolutionalInferer(amp=amp)(BRAIN, network) for amp in (True, False))
    assert torch.equal(amp, plain)


def test_geometry_is_carried(network):
    image = MetaTensor(BRAIN, affine=torch.diag(torch.tensor([1.0, 1.2, 3.0, 1])))
    image.meta["filename_or_obj"] = "flair.nii.gz"
    logits = exact()(image, network)
    assert isinstance(logits, MetaTensor)
    assert torch.equal(logits.affine, image.affine)
    assert logits.meta["filename_or_obj"] == "flair.nii.gz"
    assert type(exact()(BRAIN, network)) is torch.Tensor
    assert torch.equal(logits.as_tensor(), exact()(BRAIN, network))


def test_an_image_of_other_channels_is_refused_by_name(network):
    with pytest.raises(InputError, match=r"image must have the shape \(batch, 2, x, y\), got"):
        exact()(torch.ones(1, 3, 8, 8, 2), network)


def test_a_bound_that_admits_nothing_is_refused():
    with pytest.raises(
        InputError, match="FullyConvolutionalInferer: max_voxels must be at least 1"
    ):
        FullyConvolutionalInferer(max_voxels=0)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(network):
    cuda = torch.device("cuda")
    copy = PatchCNN(2, filters=(4, 6, 5), dense=(8, 6)).to(cuda).eval()
    copy.load_state_dict(network.state_dict())
    expected = exact()(BRAIN, network)
    logits = FullyConvolutionalInferer()(BRAIN.to(cuda), copy)
    assert logits.device.type == "cuda"
    asked = expected[:, :1].expand_as(expected) != SKIPPED_LOGIT
    difference = (logits.cpu() - expected).abs().max()
    assert difference < 0.03 * expected[asked].abs().max()


def test_an_auto_encoder_restores_nothing_where_nothing_is():
    image = torch.zeros(1, 1, 8, 8, 3)
    image[..., 1] = 0.5
    restored = FullyConvolutionalInferer(skipped_logit=0.0)(image, lambda slices: slices + 1)
    assert torch.equal(restored[..., 1], image[..., 1] + 1)
    assert not restored[..., [0, 2]].any()
