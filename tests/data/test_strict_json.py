import errno
from pathlib import Path

import pytest

from monai_transfer.data.strict_json import read_json, write_json
from monai_transfer.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "key 'a' must appear once, got it again with 2"),
        ('{"outer": {"b": 1, "b": 1}}', "key 'b' must appear once"),
        ('{"a": NaN}', "every number must be finite, got NaN"),
        ('{"a": [-Infinity]}', "every number must be finite, got -Infinity"),
        ('{"a": 1e999}', "every number must be finite, got 1e999"),
        ('{"a": 1', "be valid JSON"),
        ("", "be valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "be valid JSON"),
        ("[1]", "hold one JSON object, got list"),
        ("[" * 100_000, "be valid JSON"),
    ],
)
def test_what_pythons_reader_lets_through_is_refused_with_the_file_named(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "dataset.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_json(path)
    assert str(error.value).startswith("dataset.json: ")
    assert message in str(error.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match=r"dataset\.json: file must be readable UTF-8 text"):
        read_json(path)


def test_writing_keeps_order_and_letters_and_leaves_no_other_file(tmp_path: Path) -> None:
    content = {"z": 1, "a": {"name": "Lesjak Ž"}, "list": [0.5]}
    write_json(content, tmp_path / "new" / "a.json")
    assert list(read_json(tmp_path / "new" / "a.json")) == ["z", "a", "list"]
    assert read_json(tmp_path / "new" / "a.json") == content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_write_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json({"old": 1}, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"new": float("nan")}, path)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.json"
    write_json({"old": 1}, path)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="folder must be writable, got No space left on device"):
        write_json({"new": 1}, path)
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder must be writable"):
        write_json({}, tmp_path / "file" / "a.json")
