"""Weights that are either whole or not there."""

import os
from typing import Any

import torch

from monai_transfer._files import written_aside


def save_atomically(content: Any, path: str | os.PathLike[str]) -> None:
    """``torch.save`` through :func:`written_aside`; the same content gives the same bytes.

    Args:
        content: anything ``torch.save`` takes.
        path: the file; its folder is made.
    """
    with written_aside(path) as aside, aside.open("wb") as file:
        torch.save(content, file)  # given a path, it would write the path's name into the file
