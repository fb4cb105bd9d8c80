import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.networks.inputs import require_counts, require_image, require_statistics


def test_the_first_count_below_one_is_named():
    require_counts("Net", in_channels=1, filters=4)
    with pytest.raises(InputError, match="Net: filters must be at least 1, got 0"):
        require_counts("Net", in_channels=1, filters=0, hidden=-1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 32, 48, 8), r"image must have the shape \(batch, 1, x, y\)"),
        ((1, 2, 32, 48), r"image must have the shape \(batch, 1, x, y\)"),
        ((1, 1, 32, 40), "image size must be a multiple of 16 on either axis"),
        ((1, 1, 32, 0), "image size must be a multiple of 16 on either axis"),
    ],
)
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...], message: str):
    require_image("Net", torch.zeros(1, 1, 32, 48), channels=1, divisor=16)
    with pytest.raises(InputError, match=message):
        require_image("Net", torch.zeros(shape), channels=1, divisor=16)


def test_one_value_of_a_channel_is_too_few_in_training_only():
    image = torch.zeros(1, 1, 16, 16)
    require_image("Net", image, channels=1, divisor=16)
    with pytest.raises(InputError, match=r"got 1 of 16×16\. Raise --batch_size"):
        require_image("Net", image, channels=1, divisor=16, training=True)
    for more in ((2, 1, 16, 16), (1, 1, 16, 32)):
        require_statistics("Net", torch.zeros(more), divisor=16)
