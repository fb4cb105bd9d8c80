"""SegAN's two networks: shapes, skips, what the critic is shown."""

from typing import Any

import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.networks import CRITIC_INPUTS, Critic, SegAN, Segmentor, part_of


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mask() -> torch.Tensor:
    return torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(1))


def test_the_softmax_of_the_two_logits_is_the_sigmoid_of_one(image: torch.Tensor):
    logits = Segmentor(3, filters=4).eval()(image)
    assert logits.shape == (2, 2, 32, 48)
    assert torch.equal(logits[:, 0], torch.zeros(2, 32, 48))
    torch.testing.assert_close(logits.softmax(1)[:, 1], logits[:, 1].sigmoid())


def test_parameters_of_the_paper_s_widths_by_hand():
    # encoder: 64·(16·1 + 1) + Σ out·(16·in) + 2·out; decoder: Σ out·(9·in) + 2·out; output 9·64 + 1
    down = 64 * 17 + sum(o * 16 * i + 2 * o for i, o in ((64, 128), (128, 256), (256, 512)))
    up = sum(o * 9 * i + 2 * o for i, o in ((512, 256), (256, 128), (128, 64)))
    assert sum(p.numel() for p in Segmentor(1).parameters()) == down + up + 9 * 64 + 1 == 4305153


@pytest.mark.parametrize("level", [0, 1, 2])
def test_each_skip_reaches_the_output(level: int, image: torch.Tensor):
    """Where the decoder gives nothing from below, what is left comes over the skip alone."""
    network = Segmentor(3, filters=4).eval()
    below: Any = network.decoder[2 - level]
    torch.nn.init.zeros_(below.norm.weight)
    with torch.no_grad():
        ours = network(image)
        network.encoder[level].conv.weight.mul_(2)
        theirs = network(image)
    assert not torch.equal(ours, theirs)


def test_the_critic_is_shown_both_side_by_side(image: torch.Tensor, mask: torch.Tensor):
    levels = Critic(3, critic_input="concatenated", filters=4)(image, mask)
    assert torch.equal(levels[0], torch.cat([image, mask], dim=1))
    assert [level.shape[1:] for level in levels[1:]] == [(4, 16, 24), (8, 8, 12), (16, 4, 6)]


def test_the_critic_is_shown_the_masked_image(image: torch.Tensor, mask: torch.Tensor):
    critic = Critic(3, critic_input="masked", filters=4)
    assert torch.equal(critic(image, mask)[0], image * mask)
    empty = torch.zeros_like(mask)
    for ours, theirs in zip(critic(image, empty), critic(1 - image, empty), strict=True):
        assert torch.equal(ours, theirs)  # a missed lesion on any image looks the same


@pytest.mark.parametrize("critic_input", CRITIC_INPUTS)
def test_the_two_are_all_of_the_network(critic_input: str, image: torch.Tensor):
    network = SegAN(3, critic_input=critic_input, filters=4)
    assert {part_of(network, name) for name in network.state_dict()} == set(network.parts)
    shown = {
        name: (network.get_submodule(name).in_channels, extra)
        for name, extra in network.input_layers.items()
    }
    mask = int(critic_input == "concatenated")
    assert shown == {
        "segmentor.encoder.0.conv": (3, 0),
        "critic.encoder.0.conv": (3 + mask, mask),
    }
    network.eval()
    assert torch.equal(network(image), network.segmentor(image))
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(image), network(image))


def test_weights_start_with_the_variance_of_the_authors_code():
    weight = Segmentor(1).encoder[2].conv.weight
    assert weight.var().item() == pytest.approx(2 / (4 * 4 * 256), rel=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SegAN(0), "in_channels must be at least 1, got 0"),
        (lambda: SegAN(1, filters=0), "filters must be at least 1"),
        (lambda: SegAN(1, critic_input="added"), "critic_input must be one of concatenated, mask"),
        (lambda: SegAN(1, filters=4)(torch.zeros(1, 1, 32, 40)), "image size must be a multiple"),
        (
            lambda: SegAN(1, filters=4)(torch.zeros(1, 1, 16, 16)),
            "Segmentor: a batch in training must hold two slices, or one of more than 16×16 voxels",
        ),
        (lambda: SegAN(1, filters=4)(torch.zeros(1, 2, 32, 32)), r"image must have the shape \(ba"),
    ],
)
def test_what_cannot_be_is_refused(make, message: str):
    with pytest.raises(InputError, match=message):
        make()
