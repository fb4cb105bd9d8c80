"""A bundle works wherever it lies and from wherever it is called."""

import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")


def created(config: Path | str, **options: Any) -> Any:
    return monai.bundle.create_workflow(config_file=str(config), **options)


@pytest.fixture
def inside(room: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def inside(name: str, *below: str) -> Path:
        monkeypatch.chdir(room.bundle(name).joinpath(*below))
        return room.bundle(name)

    return inside


@pytest.mark.parametrize("config", ["train.json", "configs/train.json", "inference.json"])
def test_a_workflow_made_from_anywhere_knows_its_bundle(
    name: str, about: Any, config: str, room: Any
):
    workflow = created(room.bundle(name) / config)
    assert workflow.bundle_root == str(room.bundle(name))
    assert workflow.parser["_meta_"]["version"]
    assert workflow.parser["_meta_"]["transfer"]["strategy"] == about.strategy


@pytest.mark.parametrize(
    ("below", "config"),
    [
        ((), "train.json"),
        ((), "configs/train.json"),
        (("configs",), "train.json"),
        (("docs",), "../train.json"),
        (("docs",), "../configs/train.json"),
    ],
)
def test_a_relative_config_knows_its_bundle(
    below: tuple[str, ...], config: str, inside: Callable[..., Path]
):
    bundle = inside("brats_ft", *below)
    assert Path(created(config).bundle_root).resolve() == bundle.resolve()


def test_a_bundle_root_that_is_given_is_taken(room: Any, tmp_path: Path):
    config = room.bundle("brats_ft") / "train.json"
    assert created(config, bundle_root=str(tmp_path)).bundle_root == str(tmp_path)


def test_a_bare_parser_takes_the_current_folder(inside: Callable[..., Path]):
    bundle = inside("ms_source")
    parser = ConfigParser()
    parser.read_config("configs/inference.json")
    assert Path(parser.get_parsed_content("bundle_root")).resolve() == bundle.resolve()
    assert parser.get_parsed_content("weights").endswith("ms_source/models/model.pt")


def test_making_a_workflow_touches_no_file(name: str, room: Any, elsewhere: Path):
    for config in ("train.json", "inference.json"):
        created(room.bundle(name) / config)
    assert list(elsewhere.iterdir()) == []
    assert not (room.bundle(name) / "eval").exists()


@pytest.mark.parametrize("workflow_type", ["train", "inference"])
def test_monais_load_gives_every_tensor(name: str, about: Any, workflow_type: str, room: Any):
    network = monai.bundle.load(name, bundle_dir=str(room.bundles), workflow_type=workflow_type)
    assert isinstance(network, type(about.network()))
    saved = torch.load(room.bundle(name) / "models" / "model.pt", weights_only=True)
    loaded = network.state_dict()
    assert list(loaded) == list(saved)
    assert all(torch.equal(loaded[key], saved[key]) for key in saved)


def zipped(bundle: Path, folder: Path) -> Path:
    """The bundle through a zip that follows links, unpacked elsewhere."""
    archive = shutil.make_archive(str(folder / "archive"), "zip", bundle.parent, bundle.name)
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder / "unpacked")
    return folder / "unpacked" / bundle.name


def copied(bundle: Path, folder: Path) -> Path:
    return Path(shutil.copytree(bundle, folder / "copy with a space" / bundle.name, symlinks=True))


@pytest.mark.parametrize("name", ["brats_ft", "wmh_ft"])
@pytest.mark.parametrize("move", [zipped, copied])
@pytest.mark.parametrize("config", ["train.json", "configs/train.json"])
def test_a_bundle_that_was_moved_trains_from_its_new_place(
    move: Callable[..., Path], config: str, name: str, room: Any, run: Callable[..., str]
):
    about, here = room.about(name), Path.cwd()
    moved = move(room.bundle(name), here)
    options = room.training(name) | {"cases": 1, "output_dir": "out"}
    if move is zipped:
        move(room.bundle(about.source), here)
    else:  # no neighbour to start from
        options["source"] = str(room.bundle(about.source))
    said = run(moved / config, **options)
    assert f"Transfer: {about.source}, strategy {about.strategy}" in said
    assert Path("out/model.pt").exists()


@pytest.mark.parametrize("name", ["brats_ft", "wmh_ft"])
def test_an_unpacked_zip_is_loaded_by_monai(name: str, room: Any, tmp_path: Path):
    moved = zipped(room.bundle(name), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "parsing config_file")
        network = monai.bundle.load(name, bundle_dir=str(moved.parent))
    saved = torch.load(room.bundle(name) / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(network.state_dict()[key], saved[key]) for key in saved)


def test_runs_go_below_the_current_folder_and_never_into_the_bundle(
    room: Any, run: Callable[..., str], tmp_path: Path
):
    shipped = (room.bundle("ms_source") / "models" / "model.pt").read_bytes()
    for _ in range(2):  # within one second, perhaps: each has a folder of its own
        run(room.bundle("ms_source") / "train.json", **room.training("ms_source") | {"cases": 1})
    made = sorted((tmp_path / "runs" / "ms_source").iterdir())
    assert len(made) == 2
    assert all((folder / "model.pt").exists() for folder in made)
    assert (room.bundle("ms_source") / "models" / "model.pt").read_bytes() == shipped
    assert not (room.bundle("ms_source") / "eval").exists()
