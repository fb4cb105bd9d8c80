"""A run's folder can be shared: it tells of no machine, no user and no folder."""

import gzip
import io
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.bundle import export

HOST, USER = "adas-workstation", "ada-lovelace"


@pytest.fixture
def secret_words(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Names of the machine and the user, from now on."""
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(socket, "getfqdn", lambda *_: HOST)
    monkeypatch.setattr("platform.node", lambda: HOST)
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, USER)
    return [HOST.encode(), USER.encode()]


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's name and content, and those of all files packed into it."""
    yield name, content
    if content[:2] == b"\x1f\x8b":
        yield from unpacked(f"{name} unpacked", gzip.decompress(content))
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                yield from unpacked(f"{name}/{inner}", archive.read(inner))


def test_what_is_packed_is_searched():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.gz", gzip.compress(b"secret" * 9))
    assert b"secret" * 9 in [content for _, content in unpacked("x.pt", packed.getvalue())]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_no_file_of_a_run_names_machine_user_or_folder(
    name: str, room: Any, run: Callable[..., str], secret_words: list[bytes], tmp_path: Path
):
    folder = tmp_path / USER / "run"
    options = room.training(name) | {"output_dir": str(folder)}
    run(room.bundle(name) / "train.json", **options)
    export(room.bundle(name), folder / "model.pt", output=folder / "mine.zip")
    secrets = [*secret_words, *(str(path).encode() for path in (tmp_path, room.data, room.bundles))]
    secrets += [str(Path.home()).encode() + b"/"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 10
    searched = [
        found
        for path in files
        for found in unpacked(str(path.relative_to(folder)), path.read_bytes())
    ]
    assert len(searched) > 100  # the parts of archives among them
    for file, content in searched:
        told = [word for word in secrets if word in content or word in file.encode()]
        assert not told, file


def test_neither_does_a_checkpoint(
    room: Any,
    run: Callable[..., str],
    secret_words: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    from monai_transfer.training import run as steps

    def fails(*_args: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(steps, "learning_curve", fails)
    folder = tmp_path / "run"
    options = room.training("brats_ft") | {"output_dir": str(folder)}
    with pytest.raises(RuntimeError):
        run(room.bundle("brats_ft") / "train.json", **options)
    secrets = [*secret_words, str(tmp_path).encode(), str(room.data).encode()]
    for file in ("checkpoint.pt", "status.json"):
        for part, content in unpacked(file, (folder / file).read_bytes()):
            assert not [word for word in secrets if word in content], part
