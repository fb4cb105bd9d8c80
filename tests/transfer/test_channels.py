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


@pytest.mark.parametrize("target", ["t1", "t1c", "t2", "adc"])
@pytest.mark.parametrize("new_channel", ["nearest", "average"])
def test_one_modality_in_the_place_of_another_takes_its_weights_as_they_are(
    target: str, new_channel: str
):
    adapted, how = match_channels(weight(1), ["flair"], target=[target], new_channel=new_channel)
    assert torch.equal(adapted, weight(1))
    near = new_channel == "nearest" and target != "adc"
    assert how == f"{target} from {'flair' if near else 'the average'}, flair dropped"


def test_several_modalities_with_none_in_common_keep_the_scale():
    adapted, how = match_channels(weight(2), ["t1", "flair"], target=["t1c", "t2", "pd"])
    torch.testing.assert_close(adapted.norm(), weight(2).norm())
    torch.testing.assert_close(adapted[:, 1], adapted[:, 2])  # both from flair
    assert how.startswith(
        "t1c from t1, t2 from flair, pd from flair, t1 dropped, flair dropped, scaled by"
    )


def test_a_channel_that_is_no_image_stays_as_it_is():
    adapted, how = match_channels(weight(3), ["t1", "flair"], target=["t2", "flair"], extra=1)
    assert torch.equal(adapted[:, 2], weight(3)[:, 2])
    alone, same = match_channels(weight(3)[:, :2], ["t1", "flair"], target=["t2", "flair"])
    assert torch.equal(adapted[:, :2], alone)
    assert how == same
    grey, _ = match_channels(weight(2), ["grey"], target=["t1", "t2"], extra=1)
    assert torch.equal(grey[:, 2], weight(2)[:, 1])


def test_a_layer_that_was_zero_already_is_moved_as_it_is():
    zeros = torch.zeros(3, 1, 3, 3)
    assert torch.equal(match_channels(zeros, ["t1"], target=["t2"])[0], zeros)


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (["t1"], ["t1"], {}, "one input channel per source modality"),
        (["t1", "t1"], ["t1"], {}, "source modalities must be named once"),
        (["t1", "t2"], ["t1", "t1"], {}, "target modalities must be named once"),
        (
            ["t1", "t2"],
            ["flair", "pd"],
            {"new_channel": "zero"},
            r"start from filters that are not zero \(the source has t1, t2\), got flair, pd",
        ),
        (
            ["t1"],
            ["t1"],
            {"extra": 2},
            r"source modality \(t1\) and 2 for what else it is shown, got 2",
        ),
        (["t1"], ["t1"], {"layer": "critic.conv"}, "critic.conv: source weight"),
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
