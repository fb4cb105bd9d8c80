"""Programs that are installed beside this package."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_transfer.errors import InputError

_THREADS = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def filled(command: str, places: Mapping[str, str]) -> list[str]:
    """The words of a command with its places filled in.

    Args:
        command: split as a shell would; only then are the places filled in.
        places: value of each ``{name}``; other braces are the program's own.

    Example:
        >>> filled("flirt -in {moving} -cost '{x} y'", {"moving": "my scans/t1.nii"})
        ['flirt', '-in', 'my scans/t1.nii', '-cost', '{x} y']
    """
    words = shlex.split(command)
    for name, place in places.items():
        words = [word.replace("{" + name + "}", place) for word in words]
    return words


def run_program(
    words: Sequence[str],
    folder: Path,
    *,
    threads: int | None = None,
    obtain: str = "Install it, or put its folder on the PATH.",
) -> None:
    """Run a program, without a shell, to its end.

    Args:
        words: program and arguments.
        folder: it runs there.
        threads: how many it may use, as far as it goes by OpenMP's or ITK's variables; ``None``
            leaves them as they are.
        obtain: where the program comes from, a full sentence.

    Raises:
        InputError: a program that is missing, or fails; with the last lines that it wrote.
    """
    limited = dict.fromkeys(_THREADS, str(threads)) if threads else {}
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, **limited},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise InputError(words[0], "program", "be installed", todo=obtain) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        got = f"status {done.returncode}: {' | '.join(said)}"
        raise InputError(words[0], "program", "end with status 0", got=got)
