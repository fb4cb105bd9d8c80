import copy
from typing import Any

import pytest

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.training import RunRecord, console
from monai_transfer.training.identity import identity, require_same
from monai_transfer.transfer import adapt

CONFIG: dict[str, Any] = {
    "seed": 0,
    "output_dir": "runs/a",
    "num_workers": 0,
    "patch_size": [16, 16, 16],
    "optimizer": {"_target_": "Adam", "params": "$@rates"},
    "train": {"handlers": [{"_target_": "A", "interval": 2}], "dataloader": {"num_workers": 1}},
}


@pytest.fixture
def kept(tmp_path) -> dict[str, Any]:
    network = PathologyUNet(1, 2, filters=2, resolution_steps=2)
    adaptation = adapt(network, strategy="scratch", modalities=["flair"])
    return identity(adaptation, RunRecord(tmp_path, CONFIG, data={"sha256": "cd"}))


def changed(kept: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    now = copy.deepcopy(kept)
    level = now["config"]
    for key in path[:-1]:
        level = level[key]
    level[path[-1]] = value
    return now


def test_the_same_run_goes_on(kept):
    with console.capture() as said:
        require_same(kept, copy.deepcopy(kept))
    assert said.get() == ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("output_dir",), "elsewhere/a"),
        (("num_workers",), 2),
        (("train", "dataloader", "num_workers"), 2),
        (("device",), "cuda"),
        (("resume",), True),
        (("dataset_dir",), "moved"),
    ],
)
def test_what_does_not_matter_may_change(path, value, kept):
    require_same(kept, changed(kept, path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("seed",), 1, "options: seed must be what the run was begun with, 0, got 1"),
        (("patch_size",), [16, 16, 24], r"patch_size must be .*\[16, 16, 16\], got \[16, 16, 24\]"),
        (("optimizer", "_target_"), "SGD", "optimizer#_target_ must be .* Adam, got SGD"),
        (("optimizer", "eps"), 1e-3, "optimizer#eps must be .* nothing, got 0.001"),
        (("train", "handlers", 0, "interval"), 3, "train#handlers#0#interval must be .*2, got 3"),
    ],
)
def test_what_matters_may_not_and_is_named(path, value, message, kept):
    with pytest.raises(InputError, match=message):
        require_same(kept, changed(kept, path, value))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data", "ef", "the datalist must be as when the run was begun"),
        ("source", "ab", "the source's weights must be as"),
        ("frozen", {"w": "12"}, "what is frozen must be as"),
        ("processes", 2, "the processes must be 1, as when the run was begun, got 2"),
    ],
)
def test_neither_may_data_source_or_processes(key, value, message, kept):
    with pytest.raises(InputError, match=message):
        require_same(kept, {**kept, key: value})


def test_other_versions_are_told(kept):
    versions = {**kept["versions"], "torch": "9.9"}
    with console.capture() as said:
        require_same(kept, {**kept, "versions": versions})
    assert f"torch {kept['versions']['torch']} → 9.9" in " ".join(said.get().split())
