"""``--help``: the options of a bundle, as its page lists them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from monai_transfer.training import console


def show_options(bundle_root: Path, config: Mapping[str, Any]) -> None:
    """Print those options of a config that the bundle's ``docs/README.md`` tables.

    Args:
        bundle_root: folder of the bundle.
        config: what runs; it takes not every option of the page.
    """
    page = bundle_root / "docs" / "README.md"
    rows = option_rows(page.read_text("utf-8") if page.is_file() else "")
    table = Table(title=f"Options of {bundle_root.name}, as --name value", box=None)
    for heading in ("option", "default", "meaning"):
        table.add_column(heading, overflow="fold")
    for name, *cells in rows:
        if name in config:
            table.add_row(name, *map(escape, cells))
    console.print(table if table.rows else "This bundle has no docs/README.md that lists options.")


def option_rows(page: str) -> list[tuple[str, str, str]]:
    r"""Option, default and meaning of each row of a page's table of options.

    Example:
        >>> option_rows("## Options\n| option | default | meaning |\n| `seed` | 0 | of all draws |")
        [('seed', '0', 'of all draws')]
    """
    section = page.partition("## Options")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", section, re.M)
    return [
        (name, default.replace("`", ""), meaning.replace("`", ""))
        for name, default, meaning in rows
    ]
