import json
import re
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_transfer.bundle import bundles_dir, standard_scale_file
from monai_transfer.bundle.help import option_rows
from monai_transfer.bundle.options import OPTIONS
from monai_transfer.imaging import read_standard_scale
from monai_transfer.transfer import adapt

FOLDERS = sorted(path.parents[1] for path in bundles_dir().glob("*/configs/metadata.json"))
CONFIGS = {
    *("train.json", "evaluate.json", "inference.json", "multi_gpu_train.json", "paper.json"),
    *("metadata.json", "logging.conf"),
}
SCALES = {"ms_source": {"standard_scale.json"}}
"""Of sources whose images are on one; a target is brought to its source's."""

FURTHER = {
    "autoencoder_source": {"natural.json"},
    "wmh_ft": {"adabn.json"},
    "structures_source": {"natural.json"},
    "tissue_source": {"natural.json"},
}
"""Configs that not every bundle has."""

TENSOR = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}

pytestmark = pytest.mark.parametrize("bundle", FOLDERS, ids=lambda folder: folder.name)


def read(bundle: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "configs" / name).read_text("utf-8"))
    return content


def configs(bundle: Path) -> set[str]:
    return CONFIGS | FURTHER.get(bundle.name, set())


def laid_over(bundle: Path, name: str) -> dict[str, Any]:
    return read(bundle, "train.json") | read(bundle, name)


def test_every_config_has_a_relative_link_at_the_root_that_leads_to_it(bundle: Path):
    files = configs(bundle) | SCALES.get(bundle.name, set())
    assert {path.name for path in (bundle / "configs").iterdir()} == files
    links = [path for path in bundle.iterdir() if path.is_symlink()]
    assert {link.name for link in links} == files
    for link in links:
        assert link.readlink() == Path("configs", link.name)
        assert link.resolve(strict=True) == (bundle / "configs" / link.name).resolve()


def test_licences_and_the_page_are_there(bundle: Path):
    assert "Apache License" in (bundle / "LICENSE").read_text("utf-8")[:200]
    assert "Louis Collins" in (bundle / "docs" / "data_license.txt").read_text("utf-8")
    assert (bundle / "docs" / "README.md").read_text("utf-8").startswith(f"# {bundle.name}: ")


def test_the_page_lists_every_option_with_its_default(bundle: Path):
    config = read(bundle, "train.json")
    page = (bundle / "docs" / "README.md").read_text("utf-8")
    listed = {name: default for name, default, _ in option_rows(page)}
    plain = {
        key: value
        for key, value in config.items()
        if not (isinstance(value, dict) and "_target_" in str(value)) and key != "imports"
    }
    built = {"bundle_root", "cohort", "model", "network", "initialize", "run"}
    built |= {"discriminator", "discriminator_model"}
    built |= {"segmentor_network", "critic_network"}
    built |= {"is_not_rank0", "save_execute_config"}  # see monai_transfer.bundle.tracking
    weights = {"weights": read(bundle, "evaluate.json")["weights"]}
    assert set(listed) == {*plain, *weights} - built
    for name, default in listed.items():
        value = (plain | weights)[name]
        if isinstance(value, bool | int | float):
            assert default == str(value), name
        if value is None:
            assert default == "none", name


def test_the_page_says_what_the_paper_s_config_sets(bundle: Path):
    page = (bundle / "docs" / "README.md").read_text("utf-8")
    table = page.partition("| | here | published |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.*?) \| (.*?) \| .* \|$", table, re.M)
    told = {name: here for names, here in rows for name in re.findall(r"`(\w+)`", names)}
    assert {key for key in read(bundle, "paper.json") if "#" not in key} <= set(told)
    config = laid_over(bundle, "paper.json")
    for name, here in told.items():
        if not re.match("those of|off", here):
            value = config[name]
            assert here == (" ".join(map(str, value)) if isinstance(value, list) else str(value))


def test_the_strategies_that_the_page_names_suit_the_network(bundle: Path, room: Any):
    page = (bundle / "docs" / "README.md").read_text("utf-8")
    (meaning,) = re.findall(r"^\| `strategy` \| .*? \| (.*) \|$", page, re.M)
    named = re.findall(r"`([\w:<>]+)`", meaning)
    assert len(named) >= 4
    about = room.about(bundle.name)
    weights = str(room.bundle(bundle.name) / "models" / "model.pt")
    for strategy in named:
        depth = strategy.replace("<k>", "3").replace("<i>", "12")
        source = None if strategy == "scratch" else weights
        adapt(about.network(), source, strategy=depth, modalities=about.modalities)


def test_the_page_runs_every_config(bundle: Path):
    page = (bundle / "docs" / "README.md").read_text("utf-8")
    for name in configs(bundle) - {"metadata.json", "logging.conf"}:
        assert f"bundles/{bundle.name}/{name}" in page
        assert (bundle / name).exists()


def test_the_metadata_holds_what_the_model_zoo_asks_for(bundle: Path):
    metadata = read(bundle, "metadata.json")
    required = {
        *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "changelog"),
        *("required_packages_version", "task", "description", "authors", "copyright"),
    }
    assert required <= set(metadata)
    assert metadata["version"] in metadata["changelog"]
    assert "monai_transfer" in metadata["required_packages_version"]
    tensors = metadata["network_data_format"]
    assert (list(tensors["inputs"]), list(tensors["outputs"])) == (["image"], ["pred"])
    for tensor in (tensors["inputs"]["image"], tensors["outputs"]["pred"]):
        assert set(tensor) >= TENSOR


def test_the_metadata_describes_the_network_that_is_configured(bundle: Path):
    formats = read(bundle, "metadata.json")["network_data_format"]
    config = read(bundle, "train.json")
    modalities = ConfigParser(config).get_parsed_content("modalities")
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert list(image["channel_def"].values()) == modalities
    assert image["num_channels"] == len(modalities)
    if pred["format"] == "magnitude":  # the image itself, restored
        assert (pred["num_channels"], pred["channel_def"]) == (
            image["num_channels"],
            image["channel_def"],
        )
        return
    names = [config["label_names"].get(str(v), "background") for v in config["label_values"]]
    if pred["format"] == "classes":  # of what is present: the background always is
        names.remove("background")
    assert list(pred["channel_def"].values()) == names
    assert pred["num_channels"] == len(names)


def test_the_metadata_names_the_source_and_strategy_of_the_default(bundle: Path):
    config, told = read(bundle, "train.json"), read(bundle, "metadata.json")["transfer"]
    assert (told["source"], told["strategy"]) == (config["source"], config["strategy"])


def test_a_scale_is_there_where_the_recipe_says_so_and_has_every_channel(bundle: Path):
    expects = read(bundle, "metadata.json")["preprocessing"]["preparation"].get("nyul", False)
    assert expects == (bundle.name in SCALES)
    if expects:
        scale = read_standard_scale(standard_scale_file(bundle))
        assert list(scale.landmarks) == read(bundle, "train.json")["modalities"]
        assert f"--standard-scale {bundle.name}" in (bundle / "docs/README.md").read_text("utf-8")


def test_inference_prepares_images_as_the_test_of_a_training_does(bundle: Path):
    train, inference = read(bundle, "train.json"), read(bundle, "inference.json")
    tested = train["test"]["preprocessing"]
    if tested == "@preprocessing":  # with the label, which says what is present
        tested = {k: v for k, v in train["preprocessing"].items() if k != "label_values"}
    assert inference["preprocessing"] == tested
    options = (set(inference) & set(train) & set(OPTIONS)) - {"output_dir"}
    assert options >= {"dataset_dir", "manifest", "modalities", "device"}
    assert ("label_values" in inference) == ("label_values" in train)
    told = read(bundle, "evaluate.json").get("modalities", train["modalities"])
    assert inference["modalities"] == told  # as the weights say, where not as the training does
    for name in (*sorted(options - {"modalities"}), "inferer", "amp", "prepared"):
        assert inference[name] == train[name], name
    network = {key: value for key, value in train["network_def"].items() if key != "dropout"}
    assert inference["network_def"] == network


def test_no_config_holds_a_path_of_a_machine(bundle: Path):
    for path in (bundle / "configs").iterdir():
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text("utf-8")), path.name


def test_a_training_config_stays_readable(bundle: Path):
    lines = (bundle / "configs" / "train.json").read_text("utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 180


def test_shipped_weights_are_small(bundle: Path):
    for path in (bundle / "models").glob("*"):
        assert path.stat().st_size <= 5_000_000, path.name
