"""``--help``: the options of a bundle, as its page lists them."""

import re
from pathlib import Path

from rich.table import Table

from monai_transfer.training import console


def show_options(bundle_root: Path) -> None:
    """Print the table of options in a bundle's ``docs/README.md``: the one place that holds it.

    Args:
        bundle_root: folder of the bundle.
    """
    page = bundle_root / "docs" / "README.md"
    table = Table(title=f"Options of {bundle_root.name}, as --name value", box=None)
    for heading in ("option", "default", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "option")
    text = page.read_text("utf-8") if page.is_file() else ""
    for row in option_rows(text):
        table.add_row(*row)
    console.print(table if table.rows else "This bundle has no docs/README.md that lists options.")


def option_rows(page: str) -> list[tuple[str, str, str]]:
    """Option, default and meaning of each row of a page's table.

    Example:
        >>> option_rows(
        ...     "| option | default | meaning |\\n| --- | --- | --- |\\n| `seed` | 0 | any |"
        ... )
        [('seed', '0', 'any')]
    """
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| (.*) \|$", page.partition("## Options")[2] or page, re.M
    )
    return [(name, *(cell.replace("`", "") for cell in cells)) for name, *cells in rows]
