from pathlib import Path

import pytest

from monai_transfer.bundle import bundles_dir
from monai_transfer.errors import InputError
from monai_transfer.studies.requests import bundle_configs, check_request, merged

CONFIG = merged([bundles_dir() / "brats_ft" / "configs" / "train.json"])
RATES = {"learning_rate": [0.01, 0.003]}


def test_a_bundle_is_a_name_or_a_folder_and_is_typed_as_short_as_can_be(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(bundles_dir().parent)
    assert bundle_configs("brats_ft") == [Path("bundles/brats_ft/train.json")]
    monkeypatch.chdir(bundles_dir() / "brats_ft" / "configs")
    assert bundle_configs("..") == [Path("../train.json")]


@pytest.mark.parametrize(
    ("bundle", "overlays", "message"),
    [
        ("brats_tf", [], "brats_tf: config train.json must exist. monai-transfer bundles"),
        ("brats_ft", ["papre.json"], "brats_ft: config papre.json must exist"),
    ],
)
def test_a_bundle_or_overlay_that_is_not_there_is_named(
    bundle: str, overlays: list[str], message: str
):
    with pytest.raises(InputError, match=message):
        bundle_configs(bundle, overlays)


@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ({}, {}, "study: grid must hold a value on every axis, got none"),
        ({"learning_rate": []}, {}, "grid must hold a value on every axis"),
        ({"learning_rate": [0.1, 0.1]}, {}, "learning_rate must list distinct values"),
        ({"learning_rate": [0.1, 3.0]}, {}, r"learning_rate must lie in \(0, 1\], got 3.0"),
        ({"class_weight_decay": [0.0]}, {}, r"class_weight_decay must lie in \(0, 1\]"),
        (RATES, {"epoch": 3}, "option must be one of .* Did you mean epochs?"),
        (RATES, {"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        (RATES, {"amp": "false"}, "Write --amp False"),
        (RATES, {"learning_rate": 0.1}, "learning_rate must be an axis or an option, got both"),
        (RATES, {"output_dir": "x"}, "output_dir must be left to the grid"),
    ],
)
def test_what_every_run_would_refuse_is_refused_before_the_first(
    grid: dict[str, list[float]], options: dict[str, object], message: str
):
    with pytest.raises(InputError, match=message):
        check_request(CONFIG, grid, options)


def test_what_a_bundle_takes_passes():
    check_request(CONFIG, RATES, {"cases": "$None", "spacing_mm": 4, "patch_size": [16, 16, 16]})
