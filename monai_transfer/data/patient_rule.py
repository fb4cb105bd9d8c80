"""Regular expressions that tell the patient, kept to those that cannot run for ever."""

import re

_REPEATS, _ALTERNATIVES = 4, 10
RULE = (
    "a regular expression with one group, without a repeated group, "
    f"with {_REPEATS} of * + ? {{}} and {_ALTERNATIVES} of | at most"
)
_LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]", re.DOTALL)  # escapes and character sets
_OPENING = re.compile(r"\(\?")
_REPEAT = re.compile(r"(?:[*+?]|\{[\d,]+\})[?+]?")


def is_bounded(expression: str) -> bool:
    r"""Whether an expression is valid, has a group, and is matched in a time that is bounded.

    A manifest may come from anybody, and Python's matcher tries every way to divide a text among
    repeats: exponentially many where a repeat stands in a repeated group, as in ``(a+)+``. Such
    groups are refused whatever they hold, since what is harmless is not easily told; so are more
    repeats and alternatives than a patient's name needs.

    Args:
        expression: as written in a manifest.

    Source:
        Ours. Names of files have 255 characters at most; with four repeats that is the fourth
        power of it in steps at worst.

    Example:
        >>> [is_bounded(text) for text in (r"(.+)_\d+", "(pat[0-9]+)_[0-9]+", "((a+)+)b", "[(+]")]
        [True, True, False, False]
    """
    try:
        compiled = re.compile(expression)
    except (re.error, OverflowError, RecursionError):
        return False
    if compiled.groups < 1 or compiled.flags & re.VERBOSE:
        return False
    bare = _OPENING.sub("(", _LITERAL.sub("x", expression))
    repeats = list(_REPEAT.finditer(bare))
    return (
        len(repeats) <= _REPEATS
        and bare.count("|") <= _ALTERNATIVES
        and not any(bare[: repeat.start()].endswith(")") for repeat in repeats)
    )
