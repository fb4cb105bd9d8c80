import math

import ignite.distributed as idist
import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import MetaTensor

from monai_transfer.errors import InputError
from monai_transfer.training import DecayingWeightCrossEntropy, class_weights, console


def write_label(path, voxels, *, slope=None):
    image = nib.Nifti1Image(voxels, np.eye(4))
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return {"label": str(path)}


def test_the_loss_of_two_voxels_by_hand():
    # weights 1 and 3; voxel of class 0: p = e²/(e² + 1), voxel of class 1: p = 1/(e + 1)
    # loss = (1·(−ln .880797) + 3·(−ln .268941)) / (1 + 3) = (.126928 + 3.939785) / 4 = 1.016678
    logits = torch.tensor([[2.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 2, 1, 1)
    label = torch.tensor([0, 1]).reshape(1, 1, 2, 1, 1)
    loss = DecayingWeightCrossEntropy([1.0, 3.0], decay=0.5)(logits, label)
    assert loss.item() == pytest.approx(1.016678, abs=1e-6)


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_the_loss_is_the_weighted_mean_of_the_voxels_surprise(epoch):
    generator = torch.Generator().manual_seed(epoch)
    logits = torch.randn(2, 3, 4, 5, 6, generator=generator)
    label = torch.randint(0, 3, (2, 1, 4, 5, 6), generator=generator)
    loss = DecayingWeightCrossEntropy([1.0, 40.0, 900.0], decay=0.7)
    loss.epoch = epoch
    probability = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
    surprise = -probability.gather(1, label).log()
    weight = torch.tensor([1 + (w - 1) * 0.7**epoch for w in (1, 40, 900)], dtype=torch.float64)
    expected = (weight[label] * surprise).sum() / weight[label].sum()
    assert loss(logits, label).item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_decay_towards_one_from_either_side():
    loss = DecayingWeightCrossEntropy([0.5, 1.0, 101.0], decay=0.5)
    assert loss.weights(0).tolist() == [0.5, 1.0, 101.0]
    assert loss.weights(2).tolist() == [0.875, 1.0, 26.0]  # 1 − .5/4, 1, 1 + 100/4
    torch.testing.assert_close(loss.weights(40), torch.ones(3))
    assert DecayingWeightCrossEntropy([7.0], decay=1).weights(40).tolist() == [7.0]


def test_weights_follow_the_trainers_epochs(scripted_trainer):
    trainer = scripted_trainer([1.0] * 6)
    loss = DecayingWeightCrossEntropy([1.0, 101.0], decay=0.5)
    loss.attach(trainer)
    seen = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: seen.append(loss.weights(loss.epoch)[1].item())
    )
    trainer.run(range(2), max_epochs=3)
    assert seen == [101, 101, 51, 51, 26, 26]


def test_gradients_are_those_of_the_formula_and_metatensors_end_here():
    logits = torch.zeros(1, 2, 1, 1, 2, requires_grad=True)
    label = MetaTensor(torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 1, 2))
    loss = DecayingWeightCrossEntropy([1.0, 3.0], decay=0.5)(logits, label)
    assert type(loss) is torch.Tensor
    loss.backward()
    # dL/dlogit = w (p − 1{class}) / 4; p = ½ everywhere
    expected = torch.tensor([[-0.125, 0.375], [0.125, -0.375]]).reshape(1, 2, 1, 1, 2)
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize(
    ("decay", "epochs", "said"),
    [
        # 1 + 400 / 2^7 = 4.1, 1 + 400 / 2^8 = 2.6; 1 + 400 / 2^9 = 1.8 is the first of at most 2
        (0.5, 8, "come down to 4.1 only, not to 1: far too much will be marked. Train for 10 ep"),
        (0.5, 9, "come down to 2.6 only"),
        (0.5, 10, None),
        (1.0, 500, "come down to 401.0 only, not to 1: far too much will be marked. Lower"),
    ],
)
def test_a_training_that_ends_before_its_weights_come_down_is_warned_of(decay, epochs, said):
    warning = DecayingWeightCrossEntropy([1.0, 401.0], decay).warning(epochs)
    assert warning is None if said is None else said in warning


@pytest.mark.parametrize(("rank", "epochs", "told"), [(0, 2, 1), (0, 10, 0), (1, 2, 0)])
def test_the_warning_comes_before_the_first_step_and_from_one_process(
    rank, epochs, told, scripted_trainer, monkeypatch
):
    monkeypatch.setattr(idist, "get_rank", lambda: rank)
    loss, trainer = DecayingWeightCrossEntropy([1.0, 401.0], 0.5), scripted_trainer([])
    loss.attach(trainer)
    with console.capture() as printed, pytest.raises(IndexError, match="the script is over"):
        trainer.run(range(1), max_epochs=epochs)
    assert printed.get().count("Class weights come down to 201.0 only") == told


def test_weights_that_are_held_at_1_need_no_warning():
    assert DecayingWeightCrossEntropy([1.0, 1.0], 1.0).warning(1) is None


@pytest.mark.parametrize(
    ("weights", "decay", "message"),
    [
        ([1.0, 2.0], 0.0, r"decay must lie in \(0, 1\], got 0.0"),
        ([1.0, 2.0], 1.01, r"decay must lie in \(0, 1\], got 1.01"),
        ([1.0, 2.0], math.nan, r"decay must lie in"),
        ([1.0, -0.1], 0.5, r"class weights must be at least 0, got \[1.0, -0.1\]"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(weights, decay, message):
    with pytest.raises(InputError, match=message):
        DecayingWeightCrossEntropy(weights, decay)


def test_class_weights_are_all_voxels_over_those_of_the_class(tmp_path):
    first = np.zeros((2, 5, 5), np.uint8)
    first[0, 0, :4] = 4  # 4 of 50
    second = np.zeros((5, 5, 2), np.uint8)
    second[:, :2] = 1  # 20 of 50
    second[0, 4, 0] = 4  # 1 of 50
    entries = [write_label(tmp_path / f"{i}.nii", v) for i, v in enumerate((first, second))]
    # of 100 voxels 75 are 0, 20 are 1, none is 2, 5 are 4
    assert class_weights(entries, [0, 1, 2, 4]) == pytest.approx([100 / 75, 5, 1, 20])


def test_class_weights_follow_the_order_of_the_label_values(tmp_path):
    label = np.array([0, 1, 1, 2, 2, 2, 2, 2], np.uint8).reshape(2, 2, 2)
    entry = write_label(tmp_path / "label.nii", label)
    assert class_weights([entry], [2, 1, 0]) == pytest.approx([8 / 5, 8 / 2, 8 / 1])


def test_a_label_without_background_has_weights_too(tmp_path):
    entry = write_label(tmp_path / "label.nii", np.full((2, 2, 2), 3, np.uint8))
    assert class_weights([entry], [3]) == [1.0]


def test_scaled_labels_count_as_what_they_mean(tmp_path):
    stored = np.array([0, 10, 10, 0], np.int16).reshape(1, 2, 2)
    entry = write_label(tmp_path / "label.nii", stored, slope=0.7)  # as float32: 6.9999999
    assert class_weights([entry], [0, 7]) == [2.0, 2.0]


@pytest.mark.parametrize(("values", "got"), [([0, 1], 4), ([1, 4], 0)])
def test_a_value_that_is_not_declared_is_refused_with_its_file(values, got, tmp_path):
    entry = write_label(tmp_path / "seg.nii", np.array([0, 1, 4, 0], np.uint8).reshape(1, 2, 2))
    with pytest.raises(InputError, match=rf"seg\.nii: label values must be one of .*, got {got}"):
        class_weights([entry], values)
