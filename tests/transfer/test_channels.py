import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.transfer import match_channels

BRATS = ["t1", "t1c", "t2", "flair"]


def weight(channels: int) -> torch.Tensor:
    return torch.randn(5, channels, 3, 3, 3, generator=torch.Generator().manual_seed(channels))


def test_the_same_modalities_are_copied_bit_for_bit():
    adapted, how = match_channels(weight(4), BRATS, target=BRATS)
    assert torch.equal(adapted, weight(4))
    assert how == "same modalities"


def test_a_modality_keeps_its_filters_wherever_it_moves():
    order = ["flair", "t1", "t2", "t1c"]
    adapted, how = match_channels(weight(4), BRATS, target=order)
    assert torch.equal(adapted, weight(4)[:, [3, 0, 2, 1]])
    assert how == "reordered"


def test_reordering_there_and_back_is_the_identity():
    order = ["t2", "flair", "t1c", "t1"]
    there, _ = match_channels(weight(4), BRATS, target=order)
    back, _ = match_channels(there, order, target=BRATS)
    assert torch.equal(back, weight(4))


@pytest.mark.parametrize("target", [["flair"], ["t1", "flair"], ["t1c", "t1", "t2"]])
def test_fewer_modalities_keep_direction_and_total_norm(target: list[str]):
    adapted, how = match_channels(weight(4), BRATS, target=target)
    kept = weight(4)[:, [BRATS.index(m) for m in target]]
    ratio = adapted / kept
    torch.testing.assert_close(ratio, ratio.flatten()[0].expand_as(ratio))
    torch.testing.assert_close(adapted.norm(), weight(4).norm())
    assert "dropped" in how


def test_a_new_modality_starts_from_its_nearest_relative():
    adapted, how = match_channels(weight(2), ["t1", "flair"], target=BRATS)
    torch.testing.assert_close(adapted[:, 1], adapted[:, 0])  # t1c from t1
    torch.testing.assert_close(adapted[:, 2], adapted[:, 3])  # t2 from flair
    torch.testing.assert_close(adapted.norm(), weight(2).norm())
    assert how.startswith("t1c from t1, t2 from flair, scaled by ")


def test_a_new_modality_can_start_from_the_average_or_zero():
    average, _ = match_channels(
        weight(2), ["t1", "flair"], target=["t1", "flair", "dwi"], new_channel="average"
    )
    torch.testing.assert_close(average[:, 2], average[:, :2].mean(dim=1))
    zero, _ = match_channels(
        weight(2), ["t1", "flair"], target=["t1", "flair", "t2"], new_channel="zero"
    )
    assert torch.equal(zero[:, 2], torch.zeros_like(zero[:, 2]))
    torch.testing.assert_close(zero[:, :2], weight(2))


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (["t1"], ["t1"], {}, "one input channel per source modality"),
        (["t1", "t1"], ["t1"], {}, "source modalities must be named once"),
        (["t1", "t2"], ["t1", "t1"], {}, "target modalities must be named once"),
        (["t1", "t2"], ["flair"], {}, "share at least one with the source"),
        (["t1", "t2"], ["t1"], {"new_channel": "copy"}, "nearest"),
    ],
)
def test_impossible_requests_are_refused(
    source: list[str], target: list[str], options: dict, message: str
):
    with pytest.raises(InputError, match=message):
        match_channels(weight(2), source, target=target, **options)


@pytest.mark.parametrize("target", [["t1"], ["t1", "flair"], ["t2", "pd", "t1c"]])
def test_every_modality_sees_what_grey_saw_and_their_mean_gives_the_same(target: list[str]):
    adapted, how = match_channels(weight(1), ["grey"], target=target)
    assert all(
        torch.equal(adapted[:, i], weight(1)[:, 0] / len(target)) for i in range(len(target))
    )
    torch.testing.assert_close(adapted.sum(dim=1), weight(1)[:, 0])
    share = f" / {len(target)}" if len(target) > 1 else ""
    assert how == f"{', '.join(target)} from grey{share}"


def test_grey_among_others_is_a_modality_like_any():
    _, how = match_channels(weight(2), ["grey", "t1"], target=["t1"])
    assert how.startswith("grey dropped, scaled by")
