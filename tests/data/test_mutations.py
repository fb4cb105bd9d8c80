"""One file of a healthy cohort mutated at random: nothing changes silently, nothing harmless stops.

With the figures: pytest -n 0 -s -m slow tests/data/test_mutations.py
"""

import gzip
import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import check_datalist, reading

HEADER = nib.Nifti1Header.template_dtype
HARMLESS = (
    "data_type", "db_name", "extents", "session_error", "regular", "dim_info", "intent_p1",
    "intent_p2", "intent_p3", "intent_code", "bitpix", "slice_start", "slice_end", "slice_code",
    "slice_duration", "xyzt_units", "cal_max", "cal_min", "toffset", "glmax", "glmin", "descrip",
    "aux_file", "intent_name",
)  # fmt: skip
MOVED_MM = 0.02
LONGEST_S = 5.0


@dataclass
class Tally:
    """What became of the mutations."""

    outcomes: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    silent_at_first_sight: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    longest_s: float = 0.0


def flip(content, draw, *, start=0):
    position = draw.randrange(start, len(content))
    content[position] ^= 1 << draw.randrange(8)


def mutate_packed(packed, draw):
    """Damage to the .nii.gz: what disks, networks and interrupted copies do."""
    content = bytearray(packed)
    kind = draw.choice(["flip", "flip", "cut", "append", "overwrite", "lose"])
    if kind == "flip":
        flip(content, draw)
    elif kind == "cut":
        del content[draw.randrange(len(content)) :]
    elif kind == "append":
        content += draw.randbytes(draw.randrange(1, 40))
    else:
        start, size = draw.randrange(len(content)), draw.randrange(1, 30)
        content[start : start + size] = draw.randbytes(size) if kind == "overwrite" else b""
    return bytes(content), f"packed {kind}"


def mutate_plain(plain, draw):
    """Damage to the .nii, packed again with a right checksum: what software does."""
    content = bytearray(plain)
    kind = draw.choice(["field", "field", "field", "header flip", "voxel flip", "cut", "append"])
    if kind == "field":
        name = draw.choice(HEADER.names)
        kind = f"field {name}"
        offset = HEADER.fields[name][1]
        size = HEADER.fields[name][0].itemsize
        if draw.random() < 0.5:
            content[offset : offset + size] = draw.randbytes(size)
        else:  # a value near the one that was there
            position = offset + draw.randrange(size)
            content[position] = (content[position] + draw.choice([1, -1, 2, 64])) % 256
    elif kind == "header flip":
        position = draw.randrange(352)
        content[position] ^= 1 << draw.randrange(8)
    elif kind == "voxel flip":
        flip(content, draw, start=352)
    elif kind == "cut":
        del content[draw.randrange(len(content)) :]
    else:
        content += draw.randbytes(draw.randrange(1, 40))
    return gzip.compress(bytes(content), 1, mtime=0), f"plain {kind}"


def loaded(path):
    """Voxels as float32 and affine as nibabel gives them; ``None`` if it does not."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            image = nib.load(path)
            voxels = np.asanyarray(image.dataobj)
            if voxels.dtype.kind not in "iuf":
                return None
            return voxels.astype(np.float32), image.affine
        except Exception:  # noqa: BLE001 - whatever it raises
            return None


def same(one, other):
    if one is None or one[0].shape != other[0].shape:
        return False
    corners = np.array([[x, y, z, 1] for x in (0, 7) for y in (0, 8) for z in (0, 6)])
    moved = np.abs(corners @ (one[1] - other[1]).T).max()
    return bool(moved <= MOVED_MM) and np.array_equal(one[0], other[0])


def run(cohort, cache_dir, *, mutations, seed):
    draw = random.Random(seed)
    tally = Tally()
    logger = nib.imageglobals.logger
    level = logger.level
    logger.setLevel(100)  # nibabel's remarks on what it mends
    for _ in range(mutations):
        token = draw.choice(["t1", "t1ce", "t2", "flair", "seg"])
        path = cohort.file(token)
        packed, good = path.read_bytes(), loaded(path)
        if draw.random() < 0.4:
            mutated, kind = mutate_packed(packed, draw)
        else:
            mutated, kind = mutate_plain(gzip.decompress(packed), draw)
        path.write_bytes(mutated)
        judge(tally, cohort, cache_dir, kind, harmless=same(loaded(path), good))
        path.write_bytes(packed)
    logger.setLevel(level)
    return tally


def judge(tally, cohort, cache_dir, kind, *, harmless):
    started = time.perf_counter()
    known = check_datalist(cohort.datalist, cohort.root, cache_dir=cache_dir, workers=1)
    tally.longest_s = max(tally.longest_s, time.perf_counter() - started)
    unknown = check_datalist(cohort.datalist, cohort.root, workers=1)
    error = any(fault.severity == "error" for fault in known)
    outcome = "error" if error else "warning" if known else "pass"
    tally.outcomes[f"{'same' if harmless else 'changed'}, {outcome}"] += 1
    if not harmless and not known:
        tally.silent.append(kind)
    if not harmless and not unknown:
        tally.silent_at_first_sight[kind] += 1
    if harmless and error and kind.removeprefix("plain field ") in HARMLESS:
        tally.refused.append(f"{kind}: {known[0]}")


@pytest.fixture
def checked(cohort, tmp_path, monkeypatch):
    """A healthy cohort that was checked, some time ago."""
    with monkeypatch.context() as soon:
        soon.setattr(reading, "SETTLED_S", -60.0)
        assert check_datalist(cohort.datalist, cohort.root, cache_dir=tmp_path / "cache") == []
    return cohort


@pytest.mark.parametrize(
    "mutations", [100, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_no_mutation_is_silent_no_harmless_one_is_refused_none_takes_long(
    checked, tmp_path, mutations
):
    tally = run(checked, tmp_path / "cache", mutations=mutations, seed=mutations)
    print(tally)  # noqa: T201 - the figures, with -s
    assert tally.silent == []
    assert tally.refused == []
    assert tally.longest_s < LONGEST_S
    # a file that was never seen before says nothing of what its numbers were: all else is found
    meaning = ("voxel flip", "header flip", "scl_slope", "scl_inter", "datatype", "sizeof_hdr")
    assert all(kind.endswith(meaning) for kind in tally.silent_at_first_sight)
    assert {"changed, error", "same, pass"} <= set(tally.outcomes)
