import gzip
import os
import zlib

import pytest

from monai_transfer.data.byte_stream import MOST_MEMBERS, ScanError, open_stream

CONTENT = bytes(range(256)) * 40_000  # 10 MB, of many chunks


@pytest.fixture(params=["a.nii", "a.nii.gz", "pieces.nii.gz"])
def path(request, tmp_path):
    packed = {
        "a.nii": lambda: CONTENT,
        "a.nii.gz": lambda: gzip.compress(CONTENT, 1),
        "pieces.nii.gz": lambda: b"".join(
            gzip.compress(CONTENT[i : i + 65_280], 1) for i in range(0, len(CONTENT), 65_280)
        ),
    }
    path = tmp_path / request.param
    path.write_bytes(packed[request.param]())
    return path


def test_bytes_come_in_order_whatever_the_sizes_asked_for(path):
    with open_stream(path) as stream:
        taken = [stream.take(size) for size in (4, 0, 344, 5_000_000)]
        stream.skip(1000)
        buffer = bytearray(3)
        assert stream.fill(memoryview(buffer)) == 3
    assert [len(piece) for piece in taken] == [4, 0, 344, 5_000_000]
    assert b"".join(taken) == CONTENT[:5_000_348]
    assert bytes(buffer) == CONTENT[5_001_348:5_001_351]


def test_the_end_is_told_by_fewer_bytes(path):
    with open_stream(path) as stream:
        stream.skip(len(CONTENT) - 10)
        assert stream.take(50) == CONTENT[-10:]
        assert stream.take(1) == b""
        assert stream.fill(memoryview(bytearray(5))) == 0
        assert stream.drain() == 0


def test_what_is_left_is_counted_and_no_further_than_needed(path):
    with open_stream(path) as stream:
        stream.skip(len(CONTENT) - 17)
        assert stream.drain() == 17
    with open_stream(path) as stream:
        assert stream.drain() >= 1 << 20


@pytest.mark.parametrize("damage", [-1, -5, -8])
def test_the_checksum_and_the_length_at_the_end_are_read(tmp_path, damage):
    raw = bytearray(gzip.compress(CONTENT, 1))
    raw[damage] ^= 4
    (tmp_path / "a.gz").write_bytes(raw)
    with open_stream(tmp_path / "a.gz") as stream, pytest.raises(ScanError) as error:
        stream.take(len(CONTENT) + 1)
    assert error.value.code == "G203"


def test_a_member_that_is_not_the_first_is_verified_too(tmp_path):
    raw = bytearray(gzip.compress(b"a") + gzip.compress(b"b"))
    raw[-6] ^= 1
    (tmp_path / "a.gz").write_bytes(raw)
    with open_stream(tmp_path / "a.gz") as stream, pytest.raises(ScanError, match="data check"):
        stream.take(2)


def test_as_many_members_as_bgzip_writes_pass_and_one_more_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_transfer.data.byte_stream.MOST_MEMBERS", 3)
    for members, code in ((3, None), (4, "G206")):
        (tmp_path / "a.gz").write_bytes(gzip.compress(b"x") * members)
        with open_stream(tmp_path / "a.gz") as stream:
            if code is None:
                assert stream.take(9) == b"xxx"
            else:
                with pytest.raises(ScanError) as error:
                    stream.take(9)
                assert error.value.code == code
    assert MOST_MEMBERS * 65_280 > 1 << 32


def test_a_small_file_that_unpacks_to_very_much_is_unpacked_as_far_as_asked(tmp_path):
    deflate = zlib.compressobj(9, wbits=31)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(64)) + deflate.flush()
    (tmp_path / "a.gz").write_bytes(packed)
    with open_stream(tmp_path / "a.gz") as stream:
        assert len(stream.take(100)) == 100
        assert len(stream._left) < 1 << 16


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(ScanError, match="a pipe or device"), open_stream(tmp_path / "a.nii"):
        pass
