"""What ends an adversarial training, and what does not."""

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import CollapseError, StayAlive

build = runpy.run_path(str(Path(__file__).with_name("adversarial_run.py")))["build"]


@pytest.fixture(autouse=True)
def determinism():
    set_determinism(seed=0)
    yield
    set_determinism(seed=None)


class Blind(nn.Module):
    """A generator that gives what it has learned, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.rand(1, 1, 16, 16))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.one.expand(len(image), -1, -1, -1)


def in_step(number: int, action: Callable[[Any], None]) -> Callable[[Engine], None]:
    def act(engine: Engine) -> None:
        if engine.state.iteration == number:
            with torch.no_grad():
                action(engine.state)

    return act


def poison(network: str) -> Callable[[Any], None]:
    return lambda state: next(getattr(state, network).parameters()).fill_(math.nan)


def saturate(state: Any) -> None:
    """Its logits are so large that the sigmoid has no slope."""
    state.d_network[-1].bias.fill_(-1e4)


def test_a_training_that_lives_is_left_alone():
    handler = StayAlive(2)
    build(handler, epochs=5).trainer.run()
    assert set(handler.steps.values()) == {0}


@pytest.mark.parametrize(
    ("network", "what"),
    [("g_network", "generator's output"), ("d_network", "discriminator's output")],
)
def test_a_network_that_is_not_finite_ends_it_before_the_other_learns_of_it(
    network: str, what: str
):
    run = build(StayAlive())
    run.trainer.add_event_handler(Events.ITERATION_STARTED, in_step(3, poison(network)))
    other = run.discriminator if network == "g_network" else run.generator
    with pytest.raises(
        CollapseError, match=f"epoch 1, step 3: {what} must stay finite, got values"
    ):
        run.trainer.run()
    assert all(torch.isfinite(p).all() for p in other.parameters())


def test_the_networks_are_called_what_they_are():
    run = build(StayAlive(generator="segmentor", discriminator="critic"))
    run.trainer.add_event_handler(Events.ITERATION_STARTED, in_step(3, poison("d_network")))
    with pytest.raises(CollapseError, match="step 3: critic's output must stay finite"):
        run.trainer.run()
    blind = build(StayAlive(2, generator="segmentor", discriminator="critic"), generator=Blind())
    with pytest.raises(CollapseError, match="the segmentor's output must depend on the image"):
        blind.trainer.run()


def test_a_discriminators_loss_that_is_not_finite_never_reaches_its_weights():
    run = build(StayAlive(), d_loss_function=lambda real, fake: (real - fake).mean() * math.inf)
    with pytest.raises(CollapseError, match="step 1: discriminator's loss must stay finite"):
        run.trainer.run()
    assert all(torch.isfinite(p).all() for p in run.discriminator.parameters())


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            {
                "recon_loss_function": lambda output, _: (
                    (output - output.detach()).abs().sqrt().sum()
                )
            },
            "generator's gradient",
        ),
        (
            {"d_loss_function": lambda real, fake: (fake - fake.detach()).abs().sqrt().sum()},
            "discriminator's gradient",
        ),
    ],
)
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    options: dict[str, Any], what: str
):
    run = build(StayAlive(), **options)
    with pytest.raises(CollapseError, match=f"step 1: {what} must stay finite, got "):
        run.trainer.run()
    for network in (run.generator, run.discriminator):
        assert all(torch.isfinite(p).all() for p in network.parameters())


def test_weights_that_overflow_end_the_training_at_that_step():
    run = build(StayAlive())
    last = run.trainer.state.d_optimizer
    last.register_step_post_hook(lambda *_: poison("d_network")(run.trainer.state))
    with torch.no_grad():
        run.discriminator[0].weight.requires_grad_(False)
    with pytest.raises(
        CollapseError, match="step 1: discriminator's weights must stay finite, got 0"
    ):
        run.trainer.run()


@pytest.mark.parametrize("patience", [1, 4])
def test_a_discriminator_without_a_gradient_has_died(patience: int):
    run = build(StayAlive(patience))
    run.trainer.add_event_handler(Events.ITERATION_STARTED, in_step(3, saturate))
    message = (
        f"step {2 + patience}: the discriminator's gradient must be other than 0, got the contrary "
        f"in {patience} steps in a row. The training has collapsed and nothing is published."
    )
    with pytest.raises(CollapseError, match=message):
        run.trainer.run()


def test_a_generator_without_a_gradient_has_died():
    nothing = {
        "recon_loss_function": lambda output, _: 0 * output.mean(),
        "g_loss_function": lambda logits: 0 * logits.mean(),
    }
    with pytest.raises(CollapseError, match="the generator's gradient must be other than 0"):
        build(StayAlive(3), **nothing).trainer.run()


def test_a_generator_that_does_not_look_at_the_image_has_died():
    with pytest.raises(
        CollapseError, match="step 3: the generator's output must depend on the image"
    ):
        build(StayAlive(3), generator=Blind()).trainer.run()


def test_steps_without_life_count_only_in_a_row():
    """Every third step the discriminator is another one."""

    def alternate(engine: Engine) -> None:
        with torch.no_grad():
            bias = engine.state.d_network[-1].bias
            bias.fill_(0 if engine.state.iteration % 3 == 0 else -1e4)

    handler = StayAlive(3)
    run = build(handler)
    run.trainer.add_event_handler(Events.ITERATION_STARTED, alternate)
    run.trainer.run()
    assert run.trainer.state.iteration == 12


def test_how_long_it_has_lasted_outlives_an_interruption():
    first, second = StayAlive(9), StayAlive(9)
    build(first, generator=Blind(), epochs=1).trainer.run()
    second.load_state_dict(first.state_dict())
    with pytest.raises(CollapseError, match="step 5: the generator's output"):
        build(second, generator=Blind()).trainer.run()


def test_a_batch_in_which_the_truth_is_one_says_nothing():
    """As masks of slices without a lesion: an empty output is right."""
    handler = StayAlive(1)
    run = build(handler, epochs=1, generator=Blind(), prepare_batch=nothing_is_there)
    run.trainer.run()
    assert "the generator's output" not in handler.steps


def nothing_is_there(batch: Any, *_: Any, **__: Any) -> Any:
    empty = torch.zeros_like(batch["image"])
    return empty, empty, (), {"image": batch["image"]}


def test_a_frozen_discriminator_is_not_dead():
    run = build(
        StayAlive(1), epochs=1, d_loss_function=lambda *_: torch.zeros(1, requires_grad=True)
    )
    run.discriminator.requires_grad_(False)
    run.trainer.run()


def test_a_patience_below_one_is_refused():
    with pytest.raises(InputError, match="collapse: patience must be at least 1, got 0"):
        StayAlive(0)
