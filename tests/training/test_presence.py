import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from monai_transfer.errors import InputError
from monai_transfer.networks import ResNetClassifier
from monai_transfer.training import PresenceAUC, SliceClassifierInferer, presence_of


def volumes() -> torch.Tensor:
    """Two of seven slices, some of which are 0."""
    image = torch.rand(2, 1, 32, 32, 7, generator=torch.Generator().manual_seed(0))
    image[0, ..., :2] = 0
    image[1, ..., 6] = 0
    return image


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_volumes_slices_are_asked_one_by_one_whatever_the_batch(batch_size):
    network = ResNetClassifier(1, 3, image_size=(32, 32), filters=2).eval()
    image = volumes()
    logits = SliceClassifierInferer(batch_size=batch_size, amp=False)(image, network)
    assert logits.shape == (2, 3, 7)
    for volume, row in zip(image, logits, strict=True):
        for z in range(7):
            if volume[..., z].any():
                with torch.no_grad():
                    alone = network(volume[None, ..., z])[0]
                torch.testing.assert_close(row[:, z], alone)
            else:
                assert (row[:, z] == -20).all()


def test_a_volume_of_zeros_has_nothing_in_it():
    network = ResNetClassifier(1, 3, image_size=(32, 32), filters=2).eval()
    logits = SliceClassifierInferer()(torch.zeros(1, 1, 32, 32, 4), network)
    assert logits.shape == (1, 3, 4)
    assert (logits == -20).all()


def test_a_batch_of_no_slice_is_refused():
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        SliceClassifierInferer(batch_size=0)


def subject(number: int) -> dict[str, torch.Tensor]:
    """Twelve slices, the first two without an image; structure 9 is nowhere, 4 is everywhere."""
    rng = torch.Generator().manual_seed(number)
    image = torch.ones(1, 2, 2, 12)
    image[..., :2] = 0
    label = torch.zeros(1, 2, 2, 12, dtype=torch.uint8)
    label[0, 1, 1] = 4
    label[0, 0, 0, torch.rand(12, generator=rng) < 0.5] = 2
    return {"image": image, "label": label, "pred": torch.randn(3, 12, generator=rng)}


VALUES = [2, 4, 9]


def test_truth_and_probability_are_those_of_the_slices_with_an_image():
    one = subject(0)
    z, truth, probability = presence_of(one, VALUES)
    assert z.tolist() == list(range(2, 12))
    np.testing.assert_array_equal(truth[:, 0], one["label"][0, 0, 0, 2:] == 2)
    assert truth[:, 1].all()
    assert not truth[:, 2].any()
    np.testing.assert_allclose(probability, one["pred"].sigmoid().T[2:], rtol=1e-6)


def test_the_mean_area_is_over_the_structures_that_have_one():
    metric = PresenceAUC(VALUES)
    outputs = [subject(0), subject(1)]
    metric.update(outputs[:1])
    metric.update(outputs[1:])
    truth, probability = (
        np.concatenate([presence_of(one, VALUES)[part] for one in outputs]) for part in (1, 2)
    )
    assert metric.compute() == pytest.approx(roc_auc_score(truth[:, 0], probability[:, 0]))
    metric.reset()
    metric.update([subject(0) | {"label": torch.zeros(1, 2, 2, 12)}])
    assert metric.compute() == 0  # none has
