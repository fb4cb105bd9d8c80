"""What the gate found, known again while datalist, files and gate are the same."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from monai_transfer.data.faults import Fault
from monai_transfer.data.reading import identity
from monai_transfer.data.record_cache import RecordCache


@dataclass(frozen=True)
class Verdict:
    """What was found in a cohort.

    Args:
        subjects: how many there are.
        faults: errors and warnings.
    """

    subjects: int
    faults: Sequence[Fault]


def verdict_key(datalist: Mapping[str, Any]) -> str:
    """Digest of a datalist and of the gate that judges it, down to its source."""
    listed = json.dumps(datalist, default=repr)
    return hashlib.sha256(f"{_gate()}\n{listed}".encode()).hexdigest()


def known_verdict(records: RecordCache, key: str, root: Path) -> Verdict | None:
    """The verdict that is kept, if every file is still the one that was read.

    Args:
        records: of the data folder.
        key: of the datalist.
        root: the data folder.
    """
    text = records.verdict(key)
    if text is None:
        return None
    kept = json.loads(text)
    if _digest(identity(f"{root}/{file}") for file in kept["files"]) != kept["digest"]:
        return None
    return Verdict(kept["subjects"], [Fault(**each) for each in kept["faults"]])


def keep_verdict(
    records: RecordCache, key: str, verdict: Verdict, *, identities: Mapping[str, str]
) -> None:
    """Keep a verdict, unless it cannot be told when a file of it becomes another.

    Args:
        records: of the data folder.
        key: of the datalist.
        verdict: what was found.
        identities: file → what is known of it, empty where that is not enough.
    """
    if not identities or not all(identities.values()):
        return
    kept = {
        "subjects": verdict.subjects,
        "faults": [asdict(fault) for fault in verdict.faults],
        "files": list(identities),
        "digest": _digest(identities.values()),
    }
    records.keep_verdict(key, json.dumps(kept))


def _digest(identities: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()


@cache
def _gate() -> str:
    """What a verdict depends on beside the data: the source of the rules, and its libraries."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{sys.version} {np.__version__} {nib.__version__}".encode())
    for path in sorted([*package.glob("*.py"), *package.glob("data/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
