import numpy as np
import pytest
import torch
from monai.transforms import Compose, Randomizable

from monai_transfer.errors import InputError
from monai_transfer.transforms import KeepBackgroundd, randomise_domain, standardise


@pytest.fixture
def subject(phantom):
    image = standardise(phantom.images, phantom.brain)
    return {"image": torch.tensor(image), "label": torch.tensor(phantom.label[None])}


def draws(chain: Compose, subject: dict, seed: int, count: int = 6) -> list[dict]:
    chain.set_random_state(seed)
    return [chain(dict(subject)) for _ in range(count)]


def test_background_stays_exactly_zero_and_values_stay_between_0_and_1(subject):
    pose, scanner = randomise_domain(2.0).transforms
    for seed in range(12):
        pose.set_random_state(seed)
        scanner.set_random_state(seed)
        posed = pose(dict(subject))
        background = (posed["image"] == 0).all(dim=0)
        assert background.any()
        image = scanner(posed)["image"]
        assert (image[:, background] == 0).all()
        assert image[:, ~background].min() > 0  # no brain voxel becomes background
        assert image.max() <= 1
        assert torch.isfinite(image).all()


def test_each_draw_is_another_scanner_and_the_seed_decides_which(subject):
    chain = randomise_domain()
    first, again, other = (draws(chain, subject, seed) for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["label"], b["label"])
    images = [draw["image"] for draw in first + other]
    changed = [image for image in images if not torch.equal(image, subject["image"])]
    assert len(changed) >= 9
    assert len({image.sum().item() for image in changed}) == len(changed)


def test_the_seed_reaches_every_random_step_within(subject):
    chain = randomise_domain()
    scanner = chain.transforms[1]
    states = []
    for _ in range(2):
        chain.set_random_state(11)
        steps = [s for s in scanner.chain.transforms if isinstance(s, Randomizable)]
        states.append([s.R.randint(2**31) for s in steps])
    assert len(states[0]) == 7
    assert states[0] == states[1]


def test_the_label_moves_with_the_image(subject):
    subject = {**subject, "image": (subject["label"] > 0).float().repeat(2, 1, 1, 1)}
    (pose, _), moved = randomise_domain().transforms, 0
    pose.set_random_state(0)
    for _ in range(10):
        posed = pose(dict(subject))
        image, label = posed["image"][0] > 0.5, posed["label"][0] > 0
        assert 2 * (image & label).sum() / (image.sum() + label.sum()) > 0.9
        assert set(posed["label"].unique().tolist()) <= {0, 1, 2, 4}
        moved += not torch.equal(posed["label"], subject["label"])
    assert 2 <= moved <= 8  # one time in two


def test_a_stronger_setting_changes_more(subject):
    def change(strength: float) -> float:
        scanner = randomise_domain(strength).transforms[1]
        scanner.set_random_state(5)
        changed = [scanner(dict(subject))["image"] - subject["image"] for _ in range(25)]
        return float(np.mean([d.abs().mean() for d in changed]))

    weak, usual, strong = (change(strength) for strength in (0.2, 1.0, 2.0))
    assert 0 < weak < 0.6 * usual < 0.6 * strong


@pytest.mark.parametrize("strength", [0.0, -1.0, 2.01, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(InputError, match=r"strength must lie in \(0, 2\], got"):
        randomise_domain(strength)


def test_only_voxels_that_are_zero_in_every_modality_are_background():
    image = torch.tensor([[[[0.0, 0.0, 0.4]]], [[[0.0, 0.2, 0.0]]]])

    class Brighter(Randomizable):
        def __call__(self, data):
            return {**data, "image": data["image"] + 0.7}

    result = KeepBackgroundd(Compose([Brighter()]))({"image": image})["image"]
    torch.testing.assert_close(result, torch.tensor([[[[0.0, 0.7, 1.0]]], [[[0.0, 0.9, 0.7]]]]))
    assert image[0, 0, 0, 0] == 0
