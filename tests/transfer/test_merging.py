import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import CRITIC_INPUTS, PathologyUNet, SegAN
from monai_transfer.transfer import Source, TransferReport, adapt

SEGMENTOR, CRITIC = "segmentor.encoder.0.conv.weight", "critic.encoder.0.conv.weight"


def source_of(network: nn.Module, *modalities: str) -> Source:
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.rand(value.shape, generator=generator).to(value.dtype)
        for name, value in network.state_dict().items()
    }
    return Source("lesions", state, modalities, "0" * 64)


def segan_source(*modalities: str, critic_input: str = "concatenated") -> Source:
    return source_of(SegAN(len(modalities), critic_input=critic_input, filters=2), *modalities)


def reasons(report: TransferReport) -> dict[str, str]:
    return {r.name: r.reason for r in report.tensors if r.action == "adapted"}


@pytest.mark.parametrize("critic_input", CRITIC_INPUTS)
@pytest.mark.parametrize("strategy", ["continue", "segmentor"])
def test_flair_s_filters_serve_t1_as_they_are_in_segmentor_and_critic(
    critic_input: str, strategy: str
):
    source = segan_source("flair", critic_input=critic_input)
    network = SegAN(1, critic_input=critic_input, filters=2)
    report = adapt(network, source, strategy=strategy, modalities=["t1"]).report
    assert all(torch.equal(value, source.state[n]) for n, value in network.state_dict().items())
    line = "t1 from flair, flair dropped"
    assert reasons(report) == {SEGMENTOR: line, CRITIC: line}


@pytest.mark.parametrize("strategy", ["continue", "segmentor"])
def test_a_critic_s_channels_follow_the_modalities_and_its_mask_stays(strategy: str):
    source = segan_source("t1", "flair")
    network = SegAN(2, filters=2)
    report = adapt(network, source, strategy=strategy, modalities=["flair", "t1"]).report
    state = network.state_dict()
    assert torch.equal(state[CRITIC], source.state[CRITIC][:, [1, 0, 2]])
    assert torch.equal(state[SEGMENTOR], source.state[SEGMENTOR][:, [1, 0]])
    assert reasons(report) == {SEGMENTOR: "reordered", CRITIC: "reordered"}
    alone = SegAN(1, filters=2)
    report = adapt(alone, source, strategy=strategy, modalities=["flair"]).report
    theirs, ours = source.state[CRITIC], alone.state_dict()[CRITIC]
    assert torch.equal(ours[:, 1], theirs[:, 2])
    torch.testing.assert_close(ours[:, 0].norm(), theirs[:, :2].norm())  # of the image alone
    assert reasons(report)[CRITIC].startswith("t1 dropped, scaled by")


@pytest.mark.parametrize(
    ("trained", "asked", "modalities"),
    [
        ("masked", "concatenated", ["t1", "flair"]),
        ("concatenated", "masked", ["t1", "flair"]),
        ("masked", "concatenated", ["flair"]),  # two channels in either
    ],
)
def test_a_critic_of_another_input_is_refused(trained: str, asked: str, modalities: list[str]):
    source = segan_source("t1", "flair", critic_input=trained)
    network = SegAN(len(modalities), critic_input=asked, filters=2)
    rule = "must have one input channel per source modality"
    with pytest.raises(
        InputError, match=rf"critic\.encoder\.0\.conv\.weight: source weight {rule}"
    ):
        adapt(network, source, strategy="continue", modalities=modalities)


def test_nobody_moves_to_unseen_modalities_unknowingly():
    source = segan_source("flair")
    warned = adapt(SegAN(1, filters=2), source, strategy="continue", modalities=["t1"]).report
    line = "The source never saw t1: its filters for flair serve. Was that meant?"
    assert warned.warnings == (line,)
    assert warned.as_dict()["warnings"] == [line]
    assert line in str(warned.table().caption)
    known = adapt(SegAN(2, filters=2), source, strategy="continue", modalities=["flair", "t1"])
    assert known.report.warnings == ()
    reset = {"copy": ["critic"], "reset": ["segmentor"]}
    assert adapt(SegAN(1, filters=2), source, strategy=reset, modalities=["t1"]).report.warnings
    fresh = PathologyUNet(2, 2, filters=2, resolution_steps=3)
    lesions = source_of(fresh, "t1", "flair")
    strategy = {"copy": ["decoder"], "reset": ["encoder", "head"]}
    moved = adapt(fresh, lesions, strategy=strategy, modalities=["t2", "pd"]).report
    assert moved.warnings == ()  # the layer that sees the image is the network's own
