"""MONAI's adversarial trainer with what it lacks: a state that can be gone on with."""

import os
import runpy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.utils import set_determinism
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import (
    ConditionalInferer,
    GeneratorInferer,
    PrepareConditionalBatch,
    ReconstructionGANLoss,
    Stopped,
    adversarial_losses,
    console,
    of_parts,
    read_checkpoint,
)

_run = runpy.run_path(str(Path(__file__).with_name("adversarial_run.py")))
build, adversarial_run, EPOCHS, STEPS = (
    _run[name] for name in ("build", "adversarial_run", "EPOCHS", "STEPS")
)


@pytest.fixture(autouse=True)
def restore_randomness():
    yield
    set_determinism(seed=None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The folder of a training that nothing interrupted, and its end."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with console.capture():
        return folder, adversarial_run(folder)


def stops(step: int) -> Callable[[Engine], None]:
    """In a step, the process is sent SIGTERM."""

    def stop(engine: Engine) -> None:
        if engine.state.iteration == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


@pytest.mark.parametrize(
    ("step", "epoch"), [(2, 1), (STEPS + 3, 2), (2 * STEPS, 2)], ids=["first", "second", "last"]
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    step: int, epoch: int, whole: tuple[Path, Any], tmp_path: Path
):
    """Within an epoch, and in a validation: what is published, and both networks' last step."""
    folder = tmp_path / "run"
    with console.capture(), pytest.raises(Stopped):
        adversarial_run(folder, at_step=stops(step))
    with console.capture() as said:
        resumed = adversarial_run(folder, resume=True)
    assert f"The run goes on in epoch {epoch} of {EPOCHS}." in said.get()
    uninterrupted, end = whole
    for name in ("model.pt", "history.csv"):
        assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    expected = end.discriminator.state_dict()
    for name, value in resumed.discriminator.state_dict().items():
        assert torch.equal(value, expected[name]), name
    for name in ("g_optimizer", "d_optimizer"):
        ours, theirs = (getattr(r.trainer.state, name).state_dict() for r in (resumed, end))
        assert repr(ours) == repr(theirs)


def test_a_checkpoint_holds_both_networks_both_optimisers_and_both_schedules(tmp_path: Path):
    with console.capture(), pytest.raises(Stopped):
        adversarial_run(tmp_path / "run", at_step=stops(STEPS + 2))
    states = read_checkpoint(tmp_path / "run" / "checkpoint.pt")["states"]
    held = states["trainer"]["adversarial"]
    assert set(held) == {"d_network", "g_optimizer", "d_optimizer"}
    assert held["d_network"]["1.num_batches_tracked"] == 3 * (STEPS + 2)  # 1 for the generator
    assert {float(s["step"]) for s in held["d_optimizer"]["state"].values()} == {STEPS + 2.0}
    assert states["network"]["1.num_batches_tracked"] == STEPS + 2
    assert states["trainer"]["iteration"] == STEPS + 2
    assert [states[f"{name}_scheduler"]["last_epoch"] for name in "gd"] == [1, 1]


@pytest.mark.filterwarnings("ignore:.*GradScaler:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*GradScaler is enabled:UserWarning")
def test_gradient_scalers_are_part_of_the_state():
    trainer = build(amp=True).trainer
    held = trainer.states()
    assert held["g_scaler"] is trainer.state.g_scaler
    assert held["d_scaler"] is trainer.state.d_scaler
    assert {"g_scaler", "d_scaler"} <= set(trainer.state_dict()["adversarial"])


def test_the_discriminator_is_saved_without_the_wrapper_of_data_parallelism():
    run = build(d_network=nn.DataParallel(nn.Conv2d(2, 1, 3)))
    assert set(run.trainer.state_dict()["adversarial"]["d_network"]) == {"weight", "bias"}


def test_a_step_is_that_of_two_losses_written_out():
    """Generator first, its gradient through the discriminator; then that on what is detached."""
    torch.manual_seed(0)
    generator, discriminator = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(2, 1, 5)
    ours, theirs = (
        (nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(2, 1, 5)),
        (generator, discriminator),
    )
    for mine, other in zip(ours, theirs, strict=True):
        mine.load_state_dict(other.state_dict())
    steps = {
        "g_optimizer": torch.optim.SGD(generator.parameters(), 0.1),
        "d_optimizer": torch.optim.SGD(discriminator.parameters(), 0.1),
    }
    run = build(generator=generator, discriminator=discriminator, epochs=1, **steps)
    batch = next(iter(run.trainer.data_loader))
    output = run.trainer._iteration(run.trainer, batch)

    g, d = ours
    image, bce = batch["image"], nn.functional.binary_cross_entropy_with_logits
    fake = g(image)
    l1 = 0.996 * (fake - image).abs().mean()
    logits = d(torch.cat([image, fake], 1))
    gan = 0.004 * bce(logits, torch.ones_like(logits))
    (l1 + gan).backward()
    real, fooled = (d(torch.cat([image, x], 1)) for x in (image, fake.detach()))
    d.zero_grad()
    judged = (bce(real, torch.ones_like(real)) + bce(fooled, torch.zeros_like(fooled))) / 2
    judged.backward()
    with torch.no_grad():
        for parameter in (*g.parameters(), *d.parameters()):
            parameter.sub_(0.1 * parameter.grad)
    for mine, other in zip(ours, theirs, strict=True):
        for name, value in mine.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    said = adversarial_losses(output)
    assert said["loss"] == pytest.approx((l1 + gan).item(), rel=1e-5)
    assert said["reconstruction_loss"] == pytest.approx(l1.item(), rel=1e-5)
    assert said["generator_loss"] == pytest.approx(gan.item(), rel=1e-5)
    assert said["discriminator_loss"] == pytest.approx(judged.item(), rel=1e-5)
    assert not any(value.requires_grad for value in output.values())


def test_the_generator_learns_through_the_discriminator_which_does_not():
    discriminator = nn.Conv2d(2, 1, 3)
    image, fake = torch.rand(2, 1, 5, 5), torch.rand(2, 1, 5, 5).requires_grad_()
    infer = ConditionalInferer(amp=False)
    logits = infer(fake, discriminator, image=image)
    assert torch.equal(logits, discriminator(torch.cat([image, fake], dim=1)))
    logits.sum().backward()
    assert fake.grad is not None
    assert discriminator.weight.grad is None
    infer(fake.detach(), discriminator, image=image).sum().backward()
    assert discriminator.weight.grad is not None


def test_a_batch_shows_both_networks_the_image_whatever_is_true():
    batch = {"image": torch.rand(2, 3, 4, 4), "label": torch.ones(2, 1, 4, 4, dtype=torch.uint8)}
    real, target, more, shown = PrepareConditionalBatch("label")(batch, "cpu")
    assert torch.equal(real, torch.ones(2, 1, 4, 4))
    assert target is real
    assert more == ()
    assert shown["image"] is not real
    seen = []
    network = lambda image: seen.append(image) or image  # noqa: E731
    GeneratorInferer(amp=False)(real, network, **shown)
    ConditionalInferer(amp=False)(real, network, **shown)
    assert torch.equal(seen[0], batch["image"])
    assert torch.equal(seen[1], torch.cat([batch["image"], torch.ones(2, 1, 4, 4)], dim=1))
    real, _, _, shown = PrepareConditionalBatch()(batch)
    assert torch.equal(real, batch["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1_weight": -1.0}, "l1_weight must be at least 0, got -1"),
        ({"gan_weight": -0.1}, "gan_weight must be at least 0, got -0.1"),
        (
            {"criterion": "wasserstein"},
            "criterion must be one of bce, hinge, least_squares, got wass",
        ),
    ],
)
def test_losses_that_cannot_be_are_refused(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        ReconstructionGANLoss(**options)


def test_an_optimiser_of_frozen_parts_is_one_that_does_nothing():
    parameter = nn.Parameter(torch.ones(1))
    groups = [{"name": "a", "params": [parameter], "lr": 0.5}]
    assert of_parts(groups, "a", "b") == groups
    optimizer = torch.optim.RMSprop(of_parts(groups, "b"), lr=0.1)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
