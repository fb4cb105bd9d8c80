"""The checks that MONAI's Model Zoo makes of a bundle, by MONAI's own functions."""

import hashlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")

_TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "properties": {
        "type": {"type": "string"},
        "format": {"type": "string"},
        "modality": {"type": "string"},
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": {"type": "string"},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_TEXT = {"type": "string", "minLength": 1}
_VERSION = {"type": "string", "pattern": r"^\d+\.\d+\.\d+"}
SCHEMA = {  # what meta_schema_20240725.json asks for, which a test cannot download
    "type": "object",
    "required": [
        *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task"),
        *("required_packages_version", "description", "authors", "copyright"),
        "network_data_format",
    ],
    "properties": {
        "schema": {"type": "string", "pattern": "^https://.*/meta_schema_20240725.json$"},
        **dict.fromkeys(("version", "monai_version", "pytorch_version", "numpy_version"), _VERSION),
        **dict.fromkeys(("task", "description", "authors", "copyright", "intended_use"), _TEXT),
        "changelog": {"type": "object", "additionalProperties": {"type": "string"}},
        "required_packages_version": {"type": "object", "additionalProperties": _VERSION},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": _TENSOR,
                },
                "outputs": {
                    "type": "object",
                    "required": ["pred"],
                    "additionalProperties": _TENSOR,
                },
            },
        },
    },
}


def test_the_metadata_follows_the_schema(name: str, room: Any, tmp_path: Path):
    pytest.importorskip("jsonschema", reason="MONAI verifies metadata by jsonschema")
    (tmp_path / "eval").mkdir()
    schema = tmp_path / "eval" / "schema.json"  # there already: nothing is downloaded
    schema.write_text(json.dumps(SCHEMA))
    there = {"filepath": str(schema), "hash_val": hashlib.sha256(schema.read_bytes()).hexdigest()}
    metadata = room.bundle(name) / "configs" / "metadata.json"
    monai.bundle.verify_metadata(meta_file=str(metadata), hash_type="sha256", **there)
    broken = json.loads(metadata.read_text())
    del broken["network_data_format"]["outputs"]["pred"]["dtype"]
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(ValueError, match="'dtype' is a required property"):
        monai.bundle.verify_metadata(
            meta_file=str(tmp_path / "broken.json"), hash_type="sha256", **there
        )


def test_the_network_takes_and_gives_what_the_metadata_say(name: str, room: Any, tmp_path: Path):
    bundle = room.bundle(name)
    files = {"config_file": str(bundle / "configs" / "inference.json"), "device": "cpu"}
    metadata = bundle / "configs" / "metadata.json"
    for n in (1, 2):  # 16 and 32 voxels
        monai.bundle.verify_net_in_out(
            "network_def", meta_file=str(metadata), bundle_root=str(bundle), n=n, **files
        )
    wrong = json.loads(metadata.read_text())
    wrong["network_data_format"]["outputs"]["pred"]["num_channels"] = 3
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match="output channel number"):
        monai.bundle.verify_net_in_out(
            "network_def", meta_file=str(tmp_path / "wrong.json"), **files
        )


def test_torchscript_needs_nothing_but_torch(name: str, about: Any, room: Any, tmp_path: Path):
    bundle = room.bundle(name)
    monai.bundle.ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
    )
    channels, classes = len(about.modalities), len(about.values) - (not about.segments)
    if about.restores:
        classes = channels
    size = {"g17": (32, 32), "k19": (16, 24, 32)}.get(about.recipe, (128, 128))
    image = torch.rand(1, channels, *size, generator=torch.Generator().manual_seed(0))
    network = monai.bundle.load(name, bundle_dir=str(room.bundles), workflow_type="inference")
    with torch.no_grad():
        expected = network.eval()(image)
    of_voxels = (about.segments or about.restores) and about.recipe != "g17"
    assert expected.shape == (1, classes, *(size if of_voxels else ()))
    torch.save({"image": image, "expected": expected}, tmp_path / "pair.pt")
    script = """
        import sys, warnings
        sys.modules["monai"] = sys.modules["monai_transfer"] = None  # an import of them fails
        warnings.simplefilter("ignore")
        import torch
        pair = torch.load("pair.pt", weights_only=True)
        with torch.no_grad():
            torch.testing.assert_close(torch.jit.load("model.ts")(pair["image"]), pair["expected"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("config", "kind"), [("train.json", "train"), ("inference.json", "infer")])
def test_monai_misses_no_property(name: str, config: str, kind: str, room: Any):
    options = room.training(name) if kind == "train" else room.images(name)
    workflow = monai.bundle.create_workflow(
        config_file=str(room.bundle(name) / "configs" / config), workflow_type=kind, **options
    )
    assert workflow.check_properties() == []
    assert workflow.bundle_root == str(room.bundle(name))
    first = {"autoencoder_source": "t1", "structures_source": "left thalamus"}
    assert workflow.channel_def["0"] == first.get(name, "background")
