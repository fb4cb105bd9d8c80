"""Reconstructions against hand-computed numbers and scikit-image's formula written out."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from monai_transfer.errors import InputError
from monai_transfer.metrics import score_reconstruction


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A textured brain in a black frame, and the same with noise; (1, 24, 28, 3)."""
    random = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 24, 28, 3)
    image[:, 8:16, 7:20, :2] = 0.2 + 0.6 * torch.rand(1, 8, 13, 2, generator=random)
    return image + 0.1 * torch.randn(image.shape, generator=random), image


def gaussian_window() -> np.ndarray:
    offset = np.arange(11) - 5
    line = np.exp(-(offset**2) / (2 * 1.5**2))
    window = np.outer(line, line)
    return window / window.sum()


def similarity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Wang 2004, equation 13, of two slices."""
    mean = lambda values: correlate(values, gaussian_window(), mode="constant")  # noqa: E731
    mx, my = mean(x), mean(y)
    sxx, syy, sxy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * sxy + c2)) / ((mx**2 + my**2 + c1) * (sxx + syy + c2))


def test_the_similarity_is_the_mean_over_the_brain_of_wangs_formula(pair):
    restored, image = pair
    brain = (image[0] != 0).numpy()
    by_voxel = np.stack(
        [similarity(*(v[0, ..., z].double().numpy() for v in pair)) for z in range(3)], axis=-1
    )
    expected = by_voxel[brain].mean()
    assert score_reconstruction(restored, image)["ssim"] == pytest.approx(expected, abs=1e-4)


def test_distance_and_noise_ratio_are_those_of_the_brains_voxels(pair):
    restored, image = pair
    difference = (restored - image)[image != 0].double()
    scores = score_reconstruction(restored, image)
    assert scores["l1"] == pytest.approx(difference.abs().mean().item(), rel=1e-5)
    expected = -10 * math.log10(difference.square().mean().item())
    assert scores["psnr_db"] == pytest.approx(expected, rel=1e-5)


def test_the_background_counts_for_nothing(pair):
    restored, image = pair
    other = torch.where(image == 0, 9.0, restored)
    ours, theirs = (score_reconstruction(r, image) for r in (restored, other))
    assert ours["l1"] == theirs["l1"]
    assert ours["psnr_db"] == theirs["psnr_db"]


def test_a_perfect_reconstruction(pair):
    scores = score_reconstruction(pair[1], pair[1])
    assert scores == {"ssim": pytest.approx(1.0), "psnr_db": math.inf, "l1": 0.0}


def test_blur_costs_similarity_more_than_a_shift_of_the_mean_of_the_same_distance(pair):
    image = pair[1]
    blurred = torch.nn.functional.avg_pool2d(image.movedim(-1, 0), 3, stride=1, padding=1).movedim(
        0, -1
    )
    distance = score_reconstruction(blurred, image)["l1"]
    brighter = torch.where(image == 0, 0.0, image + distance)
    ours, theirs = (score_reconstruction(r, image) for r in (blurred, brighter))
    assert ours["l1"] == pytest.approx(theirs["l1"], rel=1e-4)
    assert ours["ssim"] < theirs["ssim"]


def test_without_a_brain_nothing_is_defined():
    empty = torch.zeros(1, 16, 16, 2)
    assert all(math.isnan(score) for score in score_reconstruction(empty, empty).values())


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (1, 10, 16, 2), (16, 16, 2)], ids=str)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]):
    image = torch.ones(1, 16, 16, 2) if len(shape) == 4 and shape[1] == 16 else torch.ones(shape)
    with pytest.raises(InputError, match="be two of one shape"):
        score_reconstruction(torch.ones(shape), image)
