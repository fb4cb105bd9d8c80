"""Commands as a person types them; a run's own among them."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import ignite.distributed as idist


def typed(command: Sequence[str]) -> str:
    r"""A command as one line for a shell, ``python`` standing for this interpreter.

    Example:
        >>> typed([sys.executable, "--config_file", "['a.json','b.json']", "--cases", "$None"])
        'python --config_file \'["a.json","b.json"]\' --cases \'$None\''
    """
    words = ["python" if word == sys.executable else word for word in command]
    # inside a shell's single quotes a list of files reads better with double ones
    return shlex.join(w.replace("'", '"') if w.startswith("['") else w for w in words)


def with_options(arguments: Sequence[str], options: Mapping[str, str]) -> list[str]:
    """Arguments with these options, whatever they were before.

    Args:
        arguments: of ``python -m monai.bundle``, in any spelling that it takes.
        options: name → value.

    Example:
        >>> with_options(["run", "--output-dir=a", "--resume", "--seed", "1"], {"output_dir": "b"})
        ['run', '--resume', '--seed', '1', '--output_dir', 'b']
    """
    kept: list[str] = []
    replaced = False
    for word in arguments:
        if re.match("--?[A-Za-z]", word):
            name = word.lstrip("-").partition("=")[0].replace("-", "_")
            replaced = name in options
        if not replaced:
            kept.append(word)
    return kept + [text for name, value in options.items() for text in (f"--{name}", value)]


def is_program() -> bool:
    """Whether this process is ``python -m monai.bundle``, not a script or notebook that uses it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == "monai.bundle.__main__"


def own_command(folder: Path, *, resume: bool) -> str:
    """What to type to go on with the run of this process, or to begin it again in its folder.

    Args:
        folder: of the run.
        resume: go on with it.

    Returns:
        The whole command; where it is not known, as of a notebook or under ``torchrun``, what to
        add to it.
    """
    options = {"output_dir": str(folder)} | ({"resume": "True"} if resume else {})
    if is_program() and idist.get_world_size() == 1:
        arguments = with_options(sys.argv[1:], options)
        return typed([sys.executable, "-m", "monai.bundle", *arguments])
    return f"the same command with {shlex.join(with_options([], options))}"
