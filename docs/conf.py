"""How the documentation is built: ``sphinx-build -W docs docs/_build/html``."""

import subprocess
import sys
from pathlib import Path

import monai_transfer

project = "monai-transfer"
author = "the monai-transfer contributors"
copyright = "the monai-transfer contributors"
release = monai_transfer.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "tutorials"]
html_theme = "furo"
html_title = f"monai-transfer {release}"
default_role = "code"  # one backtick means code, in docstrings as in Markdown
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "notes_style")]

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "filename_pattern": r"\.py$",  # run every tutorial when the pages are built
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
}

# The reference of the command line is what the command line says about itself.
_typer = [sys.executable, "-m", "typer", "monai_transfer.cli", "utils", "docs"]
_page = Path(__file__).parent / "reference" / "command-line.md"
subprocess.run(
    [*_typer, "--name", "monai-transfer", "--title", "Command line", "--output", str(_page)],
    check=True,
    stdout=subprocess.DEVNULL,
)
