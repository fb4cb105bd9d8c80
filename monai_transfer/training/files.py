"""Weights and checkpoints: either whole or not there, and proved to be what was written."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError


def save_atomically(content: Any, path: str | os.PathLike[str]) -> None:
    """``torch.save`` through :func:`written_aside`; the same content gives the same bytes.

    Args:
        content: anything ``torch.save`` takes.
        path: the file; its folder is made.

    Raises:
        OSError: as when the disk is full; the file is what it was.
    """
    packed = _packed(content)  # given a path, torch would write the path's name into the file
    with written_aside(path) as aside:
        aside.write_bytes(packed)


def save_checkpoint(states: Any, path: str | os.PathLike[str]) -> None:
    """Save plain values and tensors with their SHA-256, aside and renamed.

    Args:
        states: what ``torch.load(weights_only=True)`` accepts.
        path: the file, itself one that ``torch.load`` opens.

    Raises:
        OSError: as when the disk is full; the file is what it was.
    """
    packed = _packed(states)
    content = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    save_atomically({"sha256": hashlib.sha256(packed).hexdigest(), "states": content}, path)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`save_checkpoint` saved, on the CPU.

    Raises:
        InputError: a file that is not one, or whose content is not what was written.
    """
    where = Path(path).name
    todo = "Without it a run cannot go on: begin a new one, in another --output_dir."
    try:
        outer = torch.load(path, map_location="cpu", weights_only=True)
        packed = outer["states"].numpy().tobytes()
        given = outer["sha256"]
    except FileNotFoundError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}"
        raise InputError(where, "the checkpoint", "be whole", got=got, todo=todo) from error
    if hashlib.sha256(packed).hexdigest() != given:
        raise InputError(where, "the checkpoint", "have the SHA-256 it was written with", todo=todo)
    states: dict[str, Any] = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return states


def _packed(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
