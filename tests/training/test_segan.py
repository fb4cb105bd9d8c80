"""SegAN on the adversarial trainer: steps, strategies, and a frozen critic that is frozen."""

import copy
import os
import runpy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import SegAN
from monai_transfer.training import (
    Checkpoint,
    CriticInferer,
    PrepareConditionalBatch,
    RunRecord,
    SegANLoss,
    SegmentorInferer,
    StayAlive,
    Stopped,
    WeightClipping,
    console,
    multi_scale_l1,
    of_parts,
    prepare,
)
from monai_transfer.transfer import Adaptation, Source, adapt

_run = runpy.run_path(str(Path(__file__).with_name("adversarial_run.py")))
build, STEPS = _run["build"], _run["STEPS"]
RATE = 1e-3


@pytest.fixture(autouse=True)
def determinism():
    set_determinism(seed=0)
    yield
    set_determinism(seed=None)


@pytest.fixture(scope="module")
def source() -> Source:
    """A SegAN that has seen a few batches, so that its statistics are not those of a new one."""
    torch.manual_seed(1)
    network = SegAN(1, filters=4)
    trained(adapt(network, strategy="scratch", modalities=["t1"]), epochs=1).trainer.run()
    return Source("segan", network.state_dict(), ("t1",), "ab" * 32)


def adapted(source: Source, strategy: str, **options: Any) -> Adaptation:
    network = SegAN(1, filters=4, **options)
    return adapt(network, source, strategy=strategy, modalities=["t1"])


def trained(adaptation: Adaptation, *handlers: Any, dice_weight: float = 1.0, **options: Any):
    """A trainer of an adaptation's two parts, as a config wires it."""
    network: Any = adaptation.network
    loss, groups = SegANLoss(dice_weight=dice_weight), adaptation.parameter_groups(RATE)
    return build(
        WeightClipping(),
        *handlers,
        generator=network.segmentor,
        discriminator=network.critic,
        **{
            "g_optimizer": torch.optim.RMSprop(of_parts(groups, "segmentor"), lr=RATE),
            "d_optimizer": torch.optim.RMSprop(of_parts(groups, "critic"), lr=RATE),
            "g_loss_function": loss.generator,
            "recon_loss_function": loss.reconstruction,
            "d_loss_function": loss.discriminator,
            "prepare_batch": PrepareConditionalBatch("label"),
            "g_inferer": SegmentorInferer(amp=False),
            "d_inferer": CriticInferer(amp=False),
            **options,
        },
    )


def state_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    now = module.state_dict()
    return {name for name, value in before.items() if not torch.equal(now[name], value)}


def test_levels_count_by_their_size():
    ours = [torch.rand(2, 3, 4, 5), torch.rand(2, 6, 2, 2)]
    theirs = [torch.rand(2, 3, 4, 5), torch.rand(2, 6, 2, 2)]
    by_hand = [
        sum((a[n] - b[n]).abs().sum() for a, b in zip(ours, theirs, strict=True)) / (60 + 24)
        for n in range(2)
    ]
    torch.testing.assert_close(multi_scale_l1(ours, theirs), torch.stack(by_hand))


def test_a_gradient_lies_in_memory_as_its_features_do():
    """What is copied into another order, here or further back, is most of the critic's step."""
    ours = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    theirs = torch.rand(2, 3, 4, 5)
    multi_scale_l1([ours], [theirs]).sum().backward()
    assert ours.grad is not None
    assert ours.grad.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(ours.grad, (ours - theirs).sign() / 60)


def test_the_dice_term_is_that_of_the_authors_by_hand():
    probability, truth = torch.tensor([0.8, 0.4, 0.0, 0.1]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    # 1 − 2 · 1.2 / (.64 + .16 + .01 + 2) = 1 − 2.4 / 2.81
    shape = (1, 1, 2, 2)
    term = SegANLoss(dice_weight=3).reconstruction(probability.view(shape), truth.view(shape))
    assert term.item() == pytest.approx(3 * (1 - 2.4 / 2.81), rel=1e-5)
    off = SegANLoss(dice_weight=0).reconstruction(probability.view(shape), truth.view(shape))
    assert off.item() == 0


def test_a_step_lowers_the_segmentors_loss_and_raises_what_the_critic_sees(source: Source):
    adaptation = adapted(source, "continue")
    run = trained(adaptation)
    batch = next(iter(run.trainer.data_loader))
    network: Any = adaptation.network
    image, real = batch["image"], batch["label"]

    def distance(segmentor: nn.Module, critic: nn.Module) -> float:
        mask = segmentor(image).softmax(1)[:, 1:].detach()
        return multi_scale_l1(critic(image, mask), critic(image, real)).mean().item()

    first_critic = copy.deepcopy(network.critic)
    output = run.trainer._iteration(run.trainer, batch)
    assert output["discriminator_loss"] < 0
    mask = output["pred"]
    seen = multi_scale_l1(network.critic(image, mask), network.critic(image, real)).mean()
    saw = multi_scale_l1(first_critic(image, mask), first_critic(image, real)).mean()
    assert seen > saw
    for _ in range(20):
        last = run.trainer._iteration(run.trainer, batch)
    assert last["reconstruction_loss"] < output["reconstruction_loss"]


def test_the_truth_is_no_distance_from_itself_and_nobody_is_asked():
    def never(*_: Any) -> Any:
        raise AssertionError

    critic = nn.Module()
    critic.weight = nn.Parameter(torch.ones(1))
    critic.forward = never
    truth = torch.ones(3, 1, 4, 4)
    zero = CriticInferer()(truth.clone(), critic, image=torch.rand(3, 1, 4, 4), real=truth)
    assert torch.equal(zero, torch.zeros(3))


def test_the_segmentor_learns_through_the_critic_which_does_not(source: Source):
    """Its weights have no gradient then; the mask's and the batch norms are as if they had one."""
    network: Any = adapted(source, "continue").network
    ours, theirs = network.critic, copy.deepcopy(network.critic)
    image, real = torch.rand(3, 1, 16, 16), torch.ones(3, 1, 16, 16)
    masks = [torch.full_like(real, 0.5).requires_grad_() for _ in range(2)]
    CriticInferer(amp=False)(masks[0], ours, image=image, real=real).sum().backward()
    multi_scale_l1(theirs(image, masks[1]), theirs(image, real)).sum().backward()
    assert masks[0].grad is not None
    assert torch.equal(masks[0].grad, masks[1].grad)
    assert all(weight.grad is None for weight in ours.parameters())
    assert changed(ours, state_of(theirs)) == set()
    assert changed(ours, state_of(adapted(source, "continue").network.critic)) == {
        f"encoder.{step}.norm.{name}"
        for step in (1, 2)
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_both_parts_are_trained_and_only_the_critics_kernels_are_clipped(source: Source):
    adaptation = adapted(source, "continue")
    network: Any = adaptation.network
    with torch.no_grad():
        network.segmentor.output.weight.fill_(0.4)
        network.critic.encoder[1].conv.weight.fill_(0.4)
    before = state_of(network)
    trained(adaptation, epochs=1).trainer.run()
    assert changed(network, before) == set(before)
    kernels = [step.conv.weight.abs().max().item() for step in network.critic.encoder]
    assert max(kernels) <= 0.05 + 1e-7
    assert network.critic.encoder[1].norm.weight.min() > 0.5
    assert network.segmentor.output.weight.max() > 0.3


def test_segmentor_leaves_the_critic_bit_identical_buffers_included(source: Source):
    adaptation = adapted(source, "segmentor")
    network: Any = adaptation.network
    critic, segmentor = state_of(network.critic), state_of(network.segmentor)
    run = trained(adaptation, StayAlive(2), epochs=2)
    run.trainer.run()
    adaptation.verify()
    assert changed(network.critic, critic) == set()
    assert changed(network.segmentor, segmentor) == set(segmentor)
    assert set(adaptation.frozen) == {f"critic.{name}" for name in critic}
    assert "critic.encoder.1.norm.running_mean" in adaptation.frozen
    assert run.trainer.state.d_optimizer.state_dict()["state"] == {}


def test_a_frozen_critic_that_is_written_to_is_found_out(source: Source):
    adaptation = adapted(source, "segmentor")
    adaptation.network.critic.encoder[1].norm.running_mean.add_(1e-3)
    with pytest.raises(InputError, match=r"bit-identical.*critic\.encoder\.1\.norm\.running_mean"):
        adaptation.verify()


def test_a_critic_without_gradients_that_goes_on_counting_is_another_training(source: Source):
    """Clearing ``requires_grad`` alone: batch norm goes by the batch and moves its statistics.

    The paper's framework runs a frozen network in inference mode. So what the segmentor learns
    differs from the first step on, and the critic is not what it was.
    """
    frozen, cleared = adapted(source, "segmentor"), adapted(source, "continue")
    cleared.network.critic.requires_grad_(False)
    before = state_of(cleared.network.critic)
    runs = [trained(adaptation, epochs=1) for adaptation in (frozen, cleared)]
    batch = next(iter(runs[0].trainer.data_loader))
    losses = [run.trainer._iteration(run.trainer, batch)["generator_loss"].item() for run in runs]
    assert losses[0] != pytest.approx(losses[1], rel=0.01)
    ours, theirs = (a.network.segmentor.state_dict() for a in (frozen, cleared))
    assert not torch.equal(ours["output.weight"], theirs["output.weight"])
    moved = changed(cleared.network.critic, before)
    assert {name.rsplit(".", 1)[-1] for name in moved} == {
        *("running_mean", "running_var", "num_batches_tracked")
    }


def test_the_critic_is_not_run_where_nobody_learns(source: Source):
    adaptation = adapted(source, "segmentor")
    network: Any = adaptation.network
    calls = []
    network.critic.register_forward_hook(lambda *_: calls.append(1))
    run = trained(adaptation)
    run.trainer._iteration(run.trainer, next(iter(run.trainer.data_loader)))
    assert len(calls) == 2  # of the segmentor's mask, and of the truth


def test_a_segmentor_that_marks_the_same_everywhere_has_collapsed(source: Source):
    adaptation = adapted(source, "continue")
    with torch.no_grad():
        adaptation.network.segmentor.output.weight.zero_()
    run = trained(adaptation, StayAlive(2), dice_weight=0.0)
    run.trainer.state.g_optimizer.param_groups[0]["lr"] = 0.0
    with pytest.raises(InputError, match="the generator's output must depend on the image"):
        run.trainer.run()


def segan_run(
    folder: Path,
    source: Source,
    strategy: str,
    *,
    resume: bool = False,
    at_step: Callable[[Engine], None] | None = None,
) -> nn.Module:
    """Train three epochs with a checkpoint; the network at the end."""
    set_determinism(seed=5)
    adaptation = adapted(source, strategy)
    record = RunRecord(folder, {"seed": 5}, data={"sha256": "ef"}, resume=resume)
    prepare(adaptation, record)
    alive = StayAlive()
    run = trained(adaptation, alive)
    idle = Engine(lambda *_: None)  # a validator that has nothing to say
    checkpoint = Checkpoint(record, adaptation, validator=idle, states={"alive": alive})
    checkpoint.attach(run.trainer)
    if at_step is not None:
        run.trainer.add_event_handler(Events.ITERATION_STARTED, at_step)
    with record.session.running():
        run.trainer.run()
    adaptation.verify()
    record.session.end("done")
    return adaptation.network


@pytest.mark.parametrize("strategy", ["continue", "segmentor"])
def test_a_stopped_run_goes_on_to_the_same_bits(strategy: str, source: Source, tmp_path: Path):
    """Two steps into the second epoch."""

    def stop(engine: Engine) -> None:
        if engine.state.iteration == STEPS + 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with console.capture():
        whole = segan_run(tmp_path / "whole", source, strategy)
        with pytest.raises(Stopped):
            segan_run(tmp_path / "run", source, strategy, at_step=stop)
        resumed = segan_run(tmp_path / "run", source, strategy, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightClipping(0), "weight clipping: limit must be above 0, got 0"),
        (lambda: SegANLoss(dice_weight=-1), "dice_weight must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str):
    with pytest.raises(InputError, match=message):
        make()


def test_rates_that_fall_with_depth_reach_both_parts(source: Source):
    strategy = {"name": "decayed", "copy": ["*"], "rate_decay": 0.5}
    network = SegAN(1, filters=4)
    groups = adapt(network, source, strategy=strategy, modalities=["t1"]).parameter_groups(RATE)
    for part in network.parts:
        found = of_parts(groups, part)
        held = {id(parameter) for group in found for parameter in group["params"]}
        assert held == {id(parameter) for parameter in network.get_submodule(part).parameters()}
    assert len({group["lr"] for group in of_parts(groups, "segmentor")}) == 8
