import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import monai_transfer

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PUBLIC = [
    module.name
    for module in pkgutil.iter_modules(monai_transfer.__path__)
    if not module.name.startswith("_") and module.name != "cli"
]


def blocks(page: Path, marker: str) -> list[str]:
    """Contents of the fenced blocks that follow the comment ``<!-- marker -->``."""
    fence = rf"^<!-- {marker} -->\n```\w+\n(.*?)^```$"
    return re.findall(fence, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, the interpreter's own scripts first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_pages_build_without_a_warning(tmp_path: Path):
    leave = shutil.ignore_patterns("_build", "auto_tutorials")
    source = shutil.copytree(DOCS, tmp_path / "docs", ignore=leave)
    # the tutorials run in a test of their own
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-D", "plot_gallery=0"]
    sphinx = [sys.executable, "-m", "sphinx"]
    built = run(*sphinx, *options, str(source), str(tmp_path / "html"), folder=tmp_path)
    assert built.returncode == 0, built.stderr
    front = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    for part in ("auto_tutorials", "how-to", "explanation", "reference"):
        assert f'href="{part}/index.html"' in front


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_module_has_a_reference_page(name: str):
    page = (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")
    assert f".. automodule:: monai_transfer.{name}\n" in page
    assert re.search(rf"^{name}$", (DOCS / "reference" / "index.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_a_docstring(name: str):
    module = importlib.import_module(f"monai_transfer.{name}")
    undocumented = [
        public
        for public in getattr(module, "__all__", [])
        if callable(getattr(module, public)) and not getattr(module, public).__doc__
    ]
    assert not undocumented


@pytest.mark.parametrize("script", sorted(DOCS.glob("tutorials/*.py")), ids=lambda path: path.stem)
def test_tutorials_run_as_they_are(script: Path, tmp_path: Path):
    done = run(sys.executable, "-W", "error::DeprecationWarning", str(script), folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_use_my_own_data_works_as_it_is_written(tmp_path: Path):
    page = DOCS / "how-to" / "use-my-own-data.md"
    (manifest,) = blocks(page, "manifest")
    (tmp_path / "tumours.json").write_text(manifest, encoding="utf-8")
    described = json.loads(manifest)
    draw = np.random.default_rng(0)
    for number in range(described["counts"]["subjects"]):
        subject = f"pat{number // 2:03}_{number % 2 + 1}"  # two visits of each patient
        folder = tmp_path / "tumours" / subject
        folder.mkdir(parents=True)
        for suffix in (*described["modalities"].values(), "tumour"):
            highest = 3 if suffix == "tumour" else 200
            voxels = draw.integers(0, highest, (5, 5, 5)).astype(np.uint8)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"{subject}_{suffix}.nii.gz")
    commands = blocks(page, "commands")
    for command in commands:
        done = run("bash", "-euc", command, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    datalist = json.loads((tmp_path / "datalist.json").read_text())
    assert list(datalist["modality"].values()) == ["t1", "t1c", "t2", "flair"]
    # of 4 patients 2 validate and a quarter test, each with both visits
    assert [datalist[f"num{part}"] for part in ("Training", "Validation", "Test")] == [2, 4, 2]


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")],
    ids=lambda p: p.name,
)
def test_links_between_files_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_holds_the_two_commands():
    (tests,) = blocks(ROOT / "README.md", "test command")
    steps = [
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        "pip install -c constraints.txt -e '.[test]'",
        "pytest",
    ]
    assert tests.strip().split(" && ") == steps
    run_line = "python -m monai.bundle run --config_file bundles/brats_ft/train.json"
    assert run_line in (ROOT / "README.md").read_text(encoding="utf-8")
