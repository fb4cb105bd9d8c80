"""File-name patterns with named fields, such as ``{group}/{subject}/{subject}_{modality}.nii``.

A ``*`` stands for any text within one name, for what no rule predicts, such as a serial number.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from string import Formatter


def pattern_fields(pattern: str) -> set[str]:
    """The names of the fields in a pattern.

    Raises:
        ValueError: the braces do not match, or a field is not a plain name.

    Example:
        >>> sorted(pattern_fields("{group}/{subject}/{subject}_{modality}.nii.gz"))
        ['group', 'modality', 'subject']
    """
    return {field for _, field in _parts(pattern) if field is not None}


def pattern_glob(pattern: str) -> str:
    """The pattern with a ``*`` for every field; other special characters stand for themselves.

    Example:
        >>> pattern_glob("{subject}/{subject}_[v1]_{modality}.*.nii")
        '*/*_[[]v1]_*.*.nii'
    """
    return "".join(
        "*".join(map(glob.escape, literal.split("*"))) + ("" if field is None else "*")
        for literal, field in _parts(pattern)
    )


def pattern_regex(pattern: str, choices: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """The pattern as a regular expression with one named group per field.

    A field or a ``*`` holds no ``/``, and no name begins with a dot (hidden files are not data). A
    field has the same text wherever it is repeated; a ``*`` may be empty.

    Args:
        pattern: relative path with fields.
        choices: the only texts a field may have; a field left out here may have any.

    Example:
        >>> regex = pattern_regex("{subject}/{subject}_{modality}.nii", {"modality": ["T1w"]})
        >>> regex.fullmatch("sub-1/sub-1_T1w.nii")["subject"]
        'sub-1'
        >>> regex.fullmatch("sub-1/sub-2_T1w.nii") is None
        True
        >>> pattern_regex("{subject}/seg.*.mha", {}).fullmatch("A/seg.54512.mha")["subject"]
        'A'
    """
    seen: set[str] = set()
    text = ""
    for literal, field in _parts(pattern):
        text += r"[^/]*?".join(map(re.escape, literal.split("*")))
        if field is None:
            continue
        options = "|".join(re.escape(option) for option in choices.get(field, ())) or r"[^/]+?"
        text += f"(?P={field})" if field in seen else f"(?P<{field}>{options})"
        seen.add(field)
    return re.compile(rf"(?!\.|.*/\.){text}")


def escapes(path: str) -> bool:
    r"""Whether a relative path could leave its folder, by its text alone and on any system.

    Symbolic links are not followed: data sets are often assembled from them.

    Example:
        >>> [escapes(p) for p in ("a/b.nii", "./a.nii", "a/../b.nii", "/a.nii", "..\\a.nii")]
        [False, False, True, True, True]
    """
    windows = PureWindowsPath(path)
    return ".." in windows.parts or PurePosixPath(path).is_absolute() or bool(windows.anchor)


def _parts(pattern: str) -> list[tuple[str, str | None]]:
    parts = []
    for literal, field, spec, conversion in Formatter().parse(pattern):
        if field is not None and (not field.isidentifier() or spec or conversion):
            raise ValueError(f"'{{{field}}}' is not a plain field name")
        parts.append((literal, field))
    return parts
