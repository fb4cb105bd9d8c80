import importlib.util

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.brain import (
    METHODS,
    BrainExtraction,
    ExternalExtraction,
    GivenMask,
    brain_extraction,
)
from monai_transfer.simulation import simulate_raw

AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])


def test_a_given_mask_is_used_as_it_is():
    mask = Image(np.array([0, 1, 2, -1]).reshape(1, 2, 2), AFFINE)
    found = GivenMask(mask)(Image(np.zeros((1, 2, 2)), AFFINE))
    assert found.ravel().tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("voxels", "affine", "fragment"),
    [
        (np.ones((2, 2, 2)), AFFINE, r"\(2, 2, 2\) voxels, not \(1, 2, 2\)"),
        (np.ones((1, 2, 2)), AFFINE @ np.diag([1, 1.2, 1, 1]), "one 0.2 mm away"),
    ],
)
def test_a_given_mask_on_another_grid_is_refused(voxels, affine, fragment):
    given = GivenMask(Image(voxels, affine))
    with pytest.raises(InputError, match=f"given mask must lie on the image's grid.*{fragment}"):
        given(Image(np.zeros((1, 2, 2)), AFFINE))


def test_every_named_method_is_one_that_the_hook_takes():
    assert list(METHODS) == ["unet", "deepbet", "hd-bet", "synthstrip"]
    assert all(isinstance(method, BrainExtraction) for method in METHODS.values())


def test_deepbet_that_is_absent_is_named_with_what_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"deepbet must be installed. Type pip install deepbet"):
        METHODS["deepbet"](Image(np.zeros((1, 2, 2)), AFFINE))


def test_deepbet_finds_the_brain_of_a_simulated_patient():
    pytest.importorskip("deepbet", reason="deepbet is not installed")
    series = simulate_raw("ms", 0, spacing_mm=2.0, protocol="1.5T-routine-5mm")["flair"]
    mask = METHODS["deepbet"](Image(series.voxels, series.affine))
    assert 2 * (mask & series.brain).sum() / (mask.sum() + series.brain.sum()) > 0.93


def test_a_command_of_ones_own_is_a_method():
    method = brain_extraction("mine --in {image} --out {mask}")
    assert isinstance(method, ExternalExtraction)
    assert method.program == "mine"


@pytest.mark.parametrize(
    ("method", "fragment"),
    [
        ("hdbet", "one of deepbet, hd-bet, synthstrip, unet, got hdbet. Did you mean hd-bet"),
        ("bet {image}", "hold {image} and {mask}, got bet {image}"),
    ],
)
def test_what_is_no_method_is_refused(method, fragment):
    with pytest.raises(InputError, match=fragment):
        brain_extraction(method)
