import os
import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest

from monai_transfer.data import check_datalist, gate, measured, reading, verdicts
from monai_transfer.data.reading import Reader
from monai_transfer.data.record_cache import RecordCache

A = "HGG/Brats18_A_1/Brats18_A_1"
T1 = f"{A}_t1.nii.gz"


@pytest.fixture
def settled(monkeypatch):
    """A file counts as settled at once, not after some seconds."""
    monkeypatch.setattr(reading, "SETTLED_S", -60.0)


@pytest.fixture
def reads(monkeypatch):
    """The files that were really read, by name."""
    seen = []

    def measure(path, *, is_label):
        seen.append(path.name)
        return measured.measure(path, is_label=is_label)

    monkeypatch.setattr(reading, "measure", measure)
    return seen


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


def check(cohort, cache_dir):
    return check_datalist(cohort.datalist, cohort.root, cache_dir=cache_dir)


def database(cache_dir):
    (path,) = (cache_dir / "checked").iterdir()
    return path


def test_a_second_check_reads_nothing_and_finds_the_same(cohort, cache_dir, settled, reads):
    cohort.write("seg", np.full((8, 9, 7), 3, np.uint8))
    cohort.write("t1", np.full((8, 9, 7), np.nan, np.float32))
    cohort.write("t2", cohort.image()[:-1])
    first = check(cohort, cache_dir)
    assert len(reads) == 15
    reads.clear()
    assert check(cohort, cache_dir) == first
    assert len(first) == 3
    assert reads == []


def test_a_clean_cohort_that_is_the_same_is_known_without_a_look_into_its_records(
    cohort, cache_dir, settled, monkeypatch
):
    cohort.write("seg", np.zeros((8, 9, 7), np.uint8))
    first = check(cohort, cache_dir)
    assert [fault.code for fault in first] == ["G503"]
    monkeypatch.setattr(gate, "_judge", None)
    told = []
    again = check_datalist(
        cohort.datalist, cohort.root, cache_dir=cache_dir, progress=lambda *n: told.append(n)
    )
    assert (again, told) == (first, [(3, 3)])


@pytest.mark.parametrize(
    "change",
    [
        lambda cohort: cohort.write("t1", cohort.image(9)),
        lambda cohort: os.utime(cohort.file("t2")),
        lambda cohort: cohort.file("seg").unlink(),
        lambda cohort: cohort.datalist["labels"].pop("1"),
        lambda cohort: verdicts._gate.cache_clear(),
    ],
    ids=["written", "touched", "removed", "datalist", "gate"],
)
def test_another_file_datalist_or_gate_is_judged_anew(
    cohort, cache_dir, settled, monkeypatch, change
):
    check(cohort, cache_dir)
    judged = []
    judge = gate._judge
    monkeypatch.setattr(gate, "_judge", lambda *a, **k: judged.append(a) or judge(*a, **k))
    check(cohort, cache_dir)
    assert not judged
    monkeypatch.setattr(verdicts.np, "__version__", "another")
    change(cohort)
    check(cohort, cache_dir)
    assert len(judged) == 1


def test_a_cohort_with_a_fresh_file_is_judged_again(cohort, cache_dir):
    check(cohort, cache_dir)
    with closing(RecordCache(cache_dir, cohort.root)) as records:
        assert records.verdict(verdicts.verdict_key(cohort.datalist)) is None


def test_rules_are_applied_anew_to_what_was_measured(cohort, cache_dir, settled, reads):
    assert check(cohort, cache_dir) == []
    cohort.datalist["labels"] = {"0": "background", "1": "core", "4": "enhancing"}
    reads.clear()
    assert {fault.code for fault in check(cohort, cache_dir)} == {"G502"}
    assert reads == []


def test_a_file_that_cannot_be_used_is_read_again(cohort, cache_dir, settled, reads):
    cohort.file().write_bytes(cohort.file().read_bytes()[:-9])
    assert [fault.code for fault in check(cohort, cache_dir)] == ["G203"]
    reads.clear()
    assert [fault.code for fault in check(cohort, cache_dir)] == ["G203"]
    assert reads == [cohort.file().name]


def test_other_voxels_with_the_size_and_the_time_of_before_are_noticed(
    cohort, cache_dir, settled, reads
):
    plain = cohort.file().with_suffix("")  # not zipped: any voxels have one size
    entry = cohort.entry()
    entry["image"][0] = f"{A}_t1.nii"
    cohort.file().unlink()

    def write(seed):
        cohort.write("t1", cohort.image(seed))
        import gzip

        plain.write_bytes(gzip.decompress(cohort.file().read_bytes()))
        cohort.file().unlink()

    write(0)
    assert check(cohort, cache_dir) == []
    before = plain.stat()
    write(50)
    os.utime(plain, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = plain.stat()
    same = ("st_ino", "st_size", "st_mtime_ns")
    assert [getattr(after, n) for n in same] == [getattr(before, n) for n in same]
    reads.clear()
    (fault,) = check(cohort, cache_dir)
    assert reads == [plain.name]
    assert (fault.code, fault.severity, fault.file) == ("G207", "warning", f"{A}_t1.nii")
    assert check(cohort, cache_dir) == []  # it was said


def test_a_file_touched_or_written_again_as_it_was_is_read_but_not_called_changed(
    cohort, cache_dir, settled, reads
):
    assert check(cohort, cache_dir) == []
    raw = cohort.file().read_bytes()
    cohort.file().unlink()
    cohort.file().write_bytes(raw)
    os.utime(cohort.file("t2"))
    reads.clear()
    assert check(cohort, cache_dir) == []
    assert sorted(reads) == [f"Brats18_A_1_{token}.nii.gz" for token in ("t1", "t2")]


def test_a_file_that_was_damaged_and_came_back_otherwise_is_called_changed(
    cohort, cache_dir, settled
):
    assert check(cohort, cache_dir) == []
    cohort.file().write_bytes(b"broken")
    assert [fault.code for fault in check(cohort, cache_dir)] == ["G203"]
    cohort.write("t1", cohort.image(77))
    assert [fault.code for fault in check(cohort, cache_dir)] == ["G207"]


@pytest.mark.parametrize("nudge", [1e-2, -1e-2])
def test_a_header_that_moves_a_whole_subject_is_noticed_too(cohort, cache_dir, settled, nudge):
    assert check(cohort, cache_dir) == []
    moved = np.diag([-1.0, -1.0, 1.0, 1.0])
    moved[0, 3] = nudge
    for seed, token in enumerate(("t1", "t1ce", "t2", "flair")):
        cohort.write(token, cohort.image(seed), affine=moved)
    cohort.write("seg", cohort.label(), affine=moved)
    assert [fault.code for fault in check(cohort, cache_dir)] == ["G207"] * 5


def test_a_link_that_leads_elsewhere_is_followed(cohort, cache_dir, settled, reads):
    other = cohort.root.parent / "other.nii.gz"
    cohort.file().rename(other)
    cohort.file().symlink_to(other)
    assert check(cohort, cache_dir) == []
    cohort.file().unlink()
    cohort.file().symlink_to(cohort.file("t1", "Brats18_B_1"))
    assert "G207" in {fault.code for fault in check(cohort, cache_dir)}


def test_a_file_changed_within_the_last_seconds_is_read_again(cohort, cache_dir, reads):
    assert check(cohort, cache_dir) == []
    reads.clear()
    assert check(cohort, cache_dir) == []
    assert len(reads) == 15


def test_a_file_changed_while_it_was_read_is_not_remembered(
    cohort, cache_dir, settled, monkeypatch
):
    def measure(path, *, is_label):
        found = measured.measure(path, is_label=is_label)
        if path == cohort.file():
            time.sleep(0.02)
            os.utime(path)
        return found

    with_cache = RecordCache(cache_dir, cohort.root)
    monkeypatch.setattr(reading, "measure", measure)
    reader = Reader(cohort.root, with_cache)
    reader.read(T1, is_label=False)
    reader.read(f"{A}_t2.nii.gz", is_label=False)
    with_cache.close()
    again = RecordCache(cache_dir, cohort.root)
    assert again.get(T1, is_label=False) is None
    assert again.get(f"{A}_t2.nii.gz", is_label=False) is not None
    again.close()


def test_images_and_labels_of_one_file_are_measured_apart(cohort, cache_dir, settled):
    check(cohort, cache_dir)
    cohort.entry()["label"] = T1
    assert {"G113", "G502"} == {fault.code for fault in check(cohort, cache_dir)}


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_broken_cache_is_begun_anew(cohort, cache_dir, settled, reads, content):
    check(cohort, cache_dir)
    database(cache_dir).write_bytes(content)
    reads.clear()
    assert check(cohort, cache_dir) == []
    assert len(reads) == 15
    reads.clear()
    assert check(cohort, cache_dir) == []
    assert reads == []


def test_a_cache_that_cannot_be_written_only_costs_time(cohort, cache_dir, settled, reads):
    cache_dir.write_text("a file in its place")
    assert check(cohort, cache_dir) == []
    assert check(cohort, cache_dir) == []
    assert len(reads) == 30


def test_a_cache_locked_by_another_process_only_costs_time(
    cohort, cache_dir, settled, reads, monkeypatch
):
    monkeypatch.setattr("monai_transfer.data.record_cache._WAIT_S", 0.05)
    check(cohort, cache_dir)
    other = sqlite3.connect(database(cache_dir))
    other.execute("BEGIN EXCLUSIVE")
    reads.clear()
    assert check(cohort, cache_dir) == []
    assert len(reads) == 15
    other.close()


@pytest.mark.parametrize(
    ("what", "other"),
    [("monai_transfer.data.record_cache.REVISION", -1), ("nibabel.__version__", "0.1")],
)
def test_measurements_of_another_version_are_not_used(cohort, tmp_path, reads, what, other):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SETTLED_S", -60.0)
        check(cohort, tmp_path)
        patch.setattr(what, other)
        reads.clear()
        assert check(cohort, tmp_path) == []
    assert len(reads) == 15


def test_the_cache_tells_neither_the_folder_nor_the_header(cohort, cache_dir, settled):
    check(cohort, cache_dir)
    content = database(cache_dir).read_bytes()
    assert b"Brats18_A_1_t1.nii.gz" in content
    assert str(cohort.root.parent).encode() not in content
