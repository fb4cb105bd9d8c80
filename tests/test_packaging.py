import ast
import configparser
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

USED_BY_MONAI = {
    "fire",  # its command line
    "tensorboard",  # its TensorBoard handlers
    "tqdm",  # the bar of its CacheDataset
}

BROUGHT_BY_THE_USER = {"deepbet"}  # a method among others; it installs a package named "data"


def declared() -> tuple[set[str], set[str]]:
    """Names that setup.cfg requires, and those of its extras."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = "\n".join(settings["options.extras_require"].values())
    required, optional = (
        {canonicalize_name(Requirement(line).name) for line in text.strip().splitlines() if line}
        for text in (settings["options"]["install_requires"], extras)
    )
    return required, optional - {"monai-transfer"}


def imported(required: set[str]) -> set[str]:
    """Distributions that the package imports, inside functions too.

    Where several share a package (``itk``), it is the required one that brings the others.
    """
    roots = set()
    for file in (ROOT / "monai_transfer").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots.add(node.module.partition(".")[0])
    homes = packages_distributions()
    foreign = roots - set(sys.stdlib_module_names) - {"monai_transfer"} - BROUGHT_BY_THE_USER
    sharing = [{canonicalize_name(home) for home in homes[root]} for root in foreign]
    return {min(homes & required or homes) for homes in sharing}


def test_what_is_imported_is_required_and_nothing_else():
    required, _ = declared()
    assert required == imported(required) | USED_BY_MONAI


def test_every_requirement_is_pinned_for_every_python():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"==[0-9][^,*]*", str(pin.specifier)) for pin in pins)
    required, optional = declared()
    for version in ("3.10", "3.11", "3.12", "3.13"):
        python = {"python_full_version": f"{version}.0", "python_version": version}
        pinned = [
            canonicalize_name(pin.name)
            for pin in pins
            if not pin.marker or pin.marker.evaluate(python)
        ]
        assert len(pinned) == len(set(pinned))
        assert required | optional <= set(pinned)
