"""Runs of a bundle as the commands a person would type."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def bundle_command(configs: Sequence[str | Path], options: Mapping[str, Any]) -> list[str]:
    """The arguments of ``python -m monai.bundle run`` that run a bundle with these options.

    Args:
        configs: config files, each later one laid over those before it.
        options: by name; ``None`` is written as MONAI's command line takes it.

    Returns:
        For `subprocess`; the first is this interpreter.

    Example:
        >>> bundle_command(["train.json"], {"cases": None, "patch_size": [80, 96, 80]})[4:]
        ['--config_file', 'train.json', '--cases', '$None', '--patch_size', '[80, 96, 80]']
    """
    files = [os.fspath(config) for config in configs]
    listed = files[0] if len(files) == 1 else str(files).replace(" ", "")
    given = [
        text
        for name, value in options.items()
        for text in (f"--{name}", "$None" if value is None else str(value))
    ]
    return [sys.executable, "-m", "monai.bundle", "run", "--config_file", listed, *given]
