import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import ConditionalDiscriminator


def test_kernels_and_strides_are_the_paper_s():
    network = ConditionalDiscriminator(2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.kernel_size[0] for m in convolutions] == [5, 5, 5, 4, 4]
    assert [m.stride[0] for m in convolutions] == [1, 4, 4, 1, 1]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 1]
    slopes = [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == 3


@torch.no_grad()
def test_documented_layer_table_agrees_with_the_network():
    network, image = ConditionalDiscriminator(2).eval(), torch.zeros(1, 2, 64, 64)
    text = (ConditionalDiscriminator.__doc__ or "").partition("::")[2].partition("Args:")[0]
    lines = [line.split() for line in text.splitlines() if line.strip()][1:]
    assert len(lines) == 5
    for cells, (name, layer) in zip(lines, network.layers.named_children(), strict=True):
        image = layer(image)
        side = {64: "X", 16: "X/4", 4: "X/16"}[image.shape[2]]
        count = sum(p.numel() for p in layer.parameters())
        assert (cells[0], cells[-3:]) == (name, [f"{image.shape[1]},", side, str(count)])
    assert sum(p.numel() for p in network.parameters()) == 3134401
    assert "3 134 401 parameters" in (ConditionalDiscriminator.__doc__ or "")


def test_a_logit_sees_the_voxels_that_the_documentation_says():
    network = ConditionalDiscriminator(1, filters=4).eval()
    image = torch.rand(1, 1, 256, 256, requires_grad=True)
    network(image)[0, 0, 8, 8].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].abs() > 0
    assert (seen.any(dim=0).sum().item(), seen.any(dim=1).sum().item()) == (121, 121)


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 16), (64, 48)])
def test_there_is_a_logit_for_every_16_voxels(size: tuple[int, int]):
    network = ConditionalDiscriminator(3, filters=4).eval()
    assert network(torch.zeros(2, 3, *size)).shape == (2, 1, size[0] // 16, size[1] // 16)


def test_it_learns_to_tell_a_truth_from_noise():
    torch.manual_seed(0)
    network = ConditionalDiscriminator(2, filters=4)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.002)
    image = torch.rand(8, 1, 32, 32)
    for _ in range(20):
        both = torch.cat(
            [torch.cat([image, image], 1), torch.cat([image, torch.rand_like(image)], 1)]
        )
        logits = network(both).mean(dim=(1, 2, 3))
        truth = torch.cat([torch.ones(8), torch.zeros(8)])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35  # 0.69 is guessing


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 64, 40), "image size must be a multiple of 16 on either axis, got"),
        ((1, 1, 64, 64), r"image must have the shape \(batch, 2, x, y\), got"),
        ((2, 64, 64), r"image must have the shape \(batch, 2, x, y\), got"),
    ],
)
def test_other_shapes_are_refused_by_name(shape: tuple[int, ...], message: str):
    with pytest.raises(InputError, match=f"ConditionalDiscriminator: {message}"):
        ConditionalDiscriminator(2, filters=4)(torch.zeros(shape))


@pytest.mark.parametrize("options", [{"in_channels": 0}, {"filters": 0}])
def test_impossible_counts_are_refused(options: dict[str, int]):
    (name,) = options
    with pytest.raises(InputError, match=f"{name} must be at least 1, got 0"):
        ConditionalDiscriminator(**{"in_channels": 2} | options)
