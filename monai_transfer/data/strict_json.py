"""JSON read so that nothing in it is lost silently, and written so that no half file is left."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object, refusing what Python's reader lets through.

    A key given twice would silently lose its first value; ``NaN``, ``Infinity`` and ``1e999`` would
    reach the arithmetic.

    Args:
        path: the file; UTF-8, one JSON object.

    Returns:
        The object, keys in file order.

    Raises:
        InputError: no such file, not UTF-8 JSON, not an object, a repeated key, a number that is
            not finite.

    Source:
        Ours; MEASURED faults "duplicate JSON keys" and "one NaN" pass stock readers without a word.

    Example:
        >>> read_json("no/a.json")
        Traceback (most recent call last):
        ...
        monai_transfer.errors.InputError: a.json: file must exist, got no/a.json. Check the path.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            path.name, "file", "exist", got=path.as_posix(), todo="Check the path."
        ) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(path.name, "file", "be readable UTF-8 text", got=fault) from fault
    try:
        content = json.loads(
            text,
            object_pairs_hook=lambda pairs: _distinct(path.name, pairs),
            parse_constant=lambda token: _refuse_number(path.name, token),
            parse_float=lambda token: _finite(path.name, token),
        )
    except InputError:
        raise
    except (ValueError, RecursionError) as fault:  # a syntax error, or a number of 5000 digits
        raise InputError(path.name, "file", "be valid JSON", got=fault) from fault
    if not isinstance(content, dict):
        raise InputError(path.name, "file", "hold one JSON object", got=type(content).__name__)
    return content


def write_json(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a JSON object aside and rename it, so that readers see the old file or the new one.

    Args:
        content: what to write; finite numbers only.
        path: the file; missing parent folders are made.

    Raises:
        InputError: the folder cannot be written.
        ValueError: `content` holds a number that is not finite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_json({"cases": 20}, f"{folder}/run.json")
        ...     read_json(f"{folder}/run.json")
        {'cases': 20}
    """
    path = Path(path)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise InputError(
            path.name,
            "folder",
            "be writable",
            got=fault.strerror,
            todo="Choose another output folder.",
        ) from fault


def _distinct(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise InputError(where, f"key {key!r}", "appear once", got=f"it again with {value!r}")
        content[key] = value
    return content


def _finite(where: str, token: str) -> float:
    number = float(token)
    return number if math.isfinite(number) else _refuse_number(where, token)


def _refuse_number(where: str, token: str) -> NoReturn:
    raise InputError(where, "every number", "be finite", got=token)
