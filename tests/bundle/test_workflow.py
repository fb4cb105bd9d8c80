import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai.bundle
import pytest

from monai_transfer.bundle import as_handler, new_run_dir, resolved_config, root
from monai_transfer.bundle.workflow import running_workflow, without_folders


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    config = {
        "imports": ["$import monai_transfer"],
        "bundle_root": "$monai_transfer.bundle.root()",
        "seed": 3,
        "data": "/home/ada/brats/list.json",
        "record": "$monai_transfer.bundle.resolved_config()",
        "run": ["@record"],
    }
    (tmp_path / "mine" / "configs").mkdir(parents=True)
    (tmp_path / "mine" / "configs" / "train.json").write_text(json.dumps(config))
    return tmp_path / "mine"


@pytest.fixture
def workflow(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (bundle / "configs" / "metadata.json").write_text('{"version": "1.0.0"}')
    with pytest.warns(UserWarning, match="parsing config_file"):
        yield monai.bundle.create_workflow(
            config_file=str(bundle / "configs" / "train.json"), seed=4
        )


def test_the_root_is_the_bundle_of_the_workflow_that_asks(workflow: Any, bundle: Path):
    assert workflow.bundle_root == str(bundle)


def test_outside_a_workflow_the_root_is_the_current_folder_and_the_config_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert Path(root()).resolve() == tmp_path.resolve()
    assert running_workflow() is None
    assert resolved_config() == {}


def test_a_folder_called_configs_is_left_for_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path / "configs")
    assert Path(root()).resolve() == tmp_path.resolve()


def test_the_resolved_config_has_overrides_and_expressions_but_no_folders(workflow: Any):
    (record,) = workflow.run()
    assert record["seed"] == 4
    assert record["bundle_root"] == "$monai_transfer.bundle.root()"
    assert record["data"] == "list.json"
    assert "_meta_" not in record


def test_folders_are_cut_off_wherever_they_are():
    given = {
        "a": ["/x/y.nii", ("C:\\Users\\ada\\scan.nii", Path("/home/ada"))],
        "b": {"c": "runs/first", "d": "$'/x/' + @y", "e": None, "f": 1.5, "g": True},
    }
    assert without_folders(given) == {
        "a": ["y.nii", ["scan.nii", "ada"]],
        "b": {"c": "runs/first", "d": "$'/x/' + @y", "e": None, "f": 1.5, "g": True},
    }


def test_every_run_has_a_folder_of_its_own_that_is_not_made_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "2026-01-02_030405")
    names = []
    for _ in range(3):
        folder = Path(new_run_dir("brats_ft"))
        assert not folder.exists()
        names.append(folder.as_posix())
        folder.mkdir(parents=True)
    stem = "runs/brats_ft/2026-01-02_030405"
    assert names == [stem, f"{stem}_2", f"{stem}_3"]


def test_all_processes_of_a_run_are_given_the_first_one_s_folder(
    monkeypatch: pytest.MonkeyPatch,
):
    told: dict[str, Any] = {}

    def broadcast(folder: str, **options: Any) -> str:
        told.update(options)
        return "runs/from/the/first"

    monkeypatch.setattr(idist, "broadcast", broadcast)
    assert new_run_dir("brats_ft") == "runs/from/the/first"
    assert told["src"] == 0


def test_a_component_is_its_own_handler():
    component = object()
    assert as_handler(component) is component
