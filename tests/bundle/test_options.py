from pathlib import Path
from typing import Any

import pytest
import torch

from monai_transfer.bundle.options import OPTIONS, check_kind, check_options
from monai_transfer.errors import InputError

GOOD = {
    "dataset_dir": [None, "data", Path("data")],
    "datalist": [None, "list.json"],
    "manifest": ["brats2018"],
    "output_dir": ["runs/a"],
    "resume": [True, False],
    "source": [None, "ms_source"],
    "weights": ["model.pt"],
    "cases": [None, 1, 150],
    "seed": [0, 7],
    "epochs": [1, 500],
    "learning_rate": [1e-6, 1],
    "learning_rate_decay": [0.1, 1],
    "weight_decay": [0, 1e-4],
    "dropout": [0, 0.3],
    "patience": [None, 1, 10],
    "lesion_fraction": [0.25, 1],
    "fixed_patches": [True, False],
    "flip": [True, False],
    "metrics": [["dice"], ("dice", "lesion_f1")],
    "class_weight_decay": [0.1, 1],
    "filters": [1, 64],
    "latent_channels": [1, 8],
    "hidden": [1, 2048],
    "discriminator_filters": [1, 64],
    "l1_weight": [0, 0.996, 2],
    "gan_weight": [0, 0.004],
    "gan_criterion": ["bce", "hinge", "least_squares"],
    "batch_size": [1, 8],
    "val_interval": [1, 10],
    "num_workers": [0, 4],
    "spacing_mm": [None, 0.5, 1, 10],
    "patch_size": [[16, 16, 16], (80, 96, 80)],
    "volume_size": [[16, 16, 16], (80, 96, 80)],
    "window_size": [[160, 192, 160]],
    "domain_randomisation": [0, 0.5, 2],
    "modalities": [["flair"], ["t1", "t1c", "t2", "flair"]],
    "label_values": [[0, 1], [0, 1, 2, 4]],
    "picture_modality": ["flair"],
    "device": ["cpu", torch.device("cpu")],
    "regions": [{"lesion": [1]}],
    "critic": ["masked", "concatenated"],
    "dice_term": [True, False],
    "clip": [0.05, 1],
    "modality": ["t1c"],
    "source_modality": [None, "flair"],
    "tumour_values": [[1], [1, 2, 3, 4]],
}
BAD = {
    "dataset_dir": ["", 3],
    "datalist": ["", 3],
    "manifest": [None, ""],
    "output_dir": [None, "", Path("a")],
    "resume": [None, 1, "yes"],
    "source": [1],
    "weights": [None],
    "cases": [0, 1.0, True, "4"],
    "seed": [-1, 0.5, None],
    "epochs": [0, True, None],
    "learning_rate": [0, -1, 2, float("nan"), float("inf"), "1e-3", True],
    "learning_rate_decay": [0, 1.1],
    "weight_decay": [-1e-4, 2, None],
    "dropout": [-0.1, 1, None],
    "patience": [0, 1.5],
    "lesion_fraction": [0, 1.1],
    "fixed_patches": [1, None],
    "flip": [0, "no"],
    "metrics": [["lesion_f1"], ["dice", "f1"], "dice", []],
    "class_weight_decay": [0, 1.1],
    "filters": [0, 2.5],
    "latent_channels": [0, None],
    "hidden": [0, 1.5],
    "discriminator_filters": [0, 2.5],
    "l1_weight": [-1, None, "much"],
    "gan_weight": [-0.1, True],
    "gan_criterion": ["wasserstein", None],
    "batch_size": [0],
    "val_interval": [0],
    "num_workers": [-1],
    "spacing_mm": [0, -2, 0.01, 11, float("nan")],
    "patch_size": [[16, 16], [16, 16, 20], [8, 16, 16], [16.0] * 3, 48, None],
    "volume_size": [[16, 16], [16, 16, 20], [8, 16, 16], [16.0] * 3, 48],
    "window_size": [[0, 0, 0], "160"],
    "domain_randomisation": [-0.1, 2.1, None],
    "modalities": [[], ["t1", "t1"], "flair", [1]],
    "label_values": [[], [0, 0], [0, 1.5], [False, True], [1, 2], [1, 0]],
    "picture_modality": [None, ""],
    "device": ["gpu", "cuda:99", "mps", None, 1.5],
    "regions": [[1], {"lesion": 1}, {}, {"lesion": []}],
    "critic": ["both", None],
    "dice_term": [1, "no"],
    "clip": [0, -0.05, None],
    "modality": [None, ["t1"], ""],
    "source_modality": [["flair"], ""],
    "tumour_values": [[], [0, 1], [1, 1], 1],
}


def test_the_tables_of_this_test_know_every_option():
    assert set(GOOD) == set(BAD) == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_value_in_range_passes_and_one_out_of_it_is_refused_by_name(name: str):
    for value in GOOD[name]:
        check_options({name: value})
    for value in BAD[name]:
        with pytest.raises(InputError, match=f"^options: {name} must {OPTIONS[name][0][:6]}"):
            check_options({name: value})


def test_options_without_a_rule_are_left_alone():
    check_options({"strategy": object(), "amp": None})


def test_a_picture_shows_a_modality_that_is_there():
    check_options({"modalities": ["t1", "flair"], "picture_modality": "t1"})
    with pytest.raises(InputError, match="picture_modality must be one of t1, flair, got t2"):
        check_options({"modalities": ["t1", "flair"], "picture_modality": "t2"})


def test_a_region_holds_declared_labels_only():
    check_options({"label_values": [0, 1, 4], "regions": {"core": [1, 4]}})
    with pytest.raises(
        InputError, match=r"region core must hold label values 0, 1 only, got \[2\]"
    ):
        check_options({"label_values": [0, 1], "regions": {"core": [2]}})


def test_a_patch_fits_into_the_window():
    check_options({"patch_size": [16, 24, 16], "window_size": (16, 24, 32)})
    with pytest.raises(
        InputError,
        match="window_size must be at least patch_size, 16, 24, 16, on each axis, got 16, 16, 32",
    ):
        check_options({"patch_size": [16, 24, 16], "window_size": (16, 16, 32)})


def test_a_name_is_given_to_declared_labels_only():
    check_options({"label_values": [0, 1], "label_names": {"1": "lesion"}})
    with pytest.raises(InputError, match="label_names must name label values 0, 1 only, got 4"):
        check_options({"label_values": [0, 1], "label_names": {"1": "lesion", "4": "oedema"}})


@pytest.mark.parametrize(
    ("value", "default"),
    [
        (2, 1.5),
        (0.5, 1),
        ((1, 2), [3]),
        (False, True),
        ("x", "y"),
        ("x", None),
        (4, None),
        ("$None", 3),
        ("@other", True),
        ({"copy": []}, "all"),
        ("cpu", "$torch.device('cuda')"),
        ("anything", {"_target_": "T"}),
    ],
)
def test_an_override_of_the_default_s_kind_passes(value: Any, default: Any):
    check_kind("option", value, [default])


@pytest.mark.parametrize(
    ("value", "default", "rule"),
    [
        ("3", 3, r"be a number, got '3'\.$"),
        (True, 3, "be a number, got True"),
        (1, True, "be True or False, got 1"),
        (3, [3], "be a list, got 3"),
        (3, "x", "be a text, got 3"),
        ([3], 3, "be a number"),
        ("false", True, "not be the text 'false'. Write --option False"),
        ("TRUE", True, "not be the text 'TRUE'. Write --option True"),
        ("null", None, r"not be the text 'null'. Write --option '\$None'"),
        ("None", 3, r"not be the text 'None'. Write --option '\$None'"),
    ],
)
def test_an_override_of_another_kind_is_refused(value: Any, default: Any, rule: str):
    with pytest.raises(InputError, match=f"^options: option must {rule}"):
        check_kind("option", value, [default])


def test_any_of_several_defaults_kinds_will_do():
    check_kind("option", "x", [3, "y"])
    with pytest.raises(InputError, match="be a number or a text"):
        check_kind("option", [1], [3, "y"])
