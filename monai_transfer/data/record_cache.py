"""Measurements of files and verdicts on cohorts, kept from one check to the next."""

import hashlib
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import nibabel as nib

from monai_transfer.data.measured import REVISION

_WRITTEN_TOGETHER = 256
_WAIT_S = 5.0
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS records (
        file TEXT, is_label INTEGER, identity TEXT, content TEXT, measured TEXT,
        PRIMARY KEY (file, is_label)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS verdicts (name TEXT UNIQUE, verdict TEXT)",
)
_VERDICTS = 32  # the latest that are kept


class Record(NamedTuple):
    """What is kept of a file.

    Args:
        file: relative path.
        is_label: whether it was measured as a label.
        identity: of the file that was read.
        content: digest of the last reading that found it whole.
        measured: as JSON.
    """

    file: str
    is_label: bool
    identity: str
    content: str
    measured: str


class RecordCache:
    """Records of the files of one data folder, in a database in a cache folder.

    Threads and processes may share it. It is a cache: where it cannot be read or written, files are
    measured again, and nothing else happens. The database names files, but not the folder.

    Args:
        cache_dir: made if it is missing.
        root: the data folder.
    """

    def __init__(self, cache_dir: Path, root: Path) -> None:
        name = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
        self.path = cache_dir / "checked" / f"{name[:32]}.sqlite"
        self._lock = threading.Lock()
        self._unwritten: list[Record] = []
        self._database = self._open()

    def get(self, file: str, *, is_label: bool) -> Record | None:
        """The record of a file, if there is one."""
        with self._lock, suppress(sqlite3.Error, UnicodeError):
            if self._database is not None:
                query = "SELECT * FROM records WHERE file = ? AND is_label = ?"
                row = self._database.execute(query, (file, is_label)).fetchone()
                return None if row is None else Record(*row)
        return None

    def put(self, record: Record) -> None:
        """Keep a record; it is written with others."""
        with self._lock:
            self._unwritten.append(record)
            if len(self._unwritten) >= _WRITTEN_TOGETHER:
                self._write()

    def verdict(self, name: str) -> str | None:
        """What is kept under a name by `keep_verdict`, if anything is."""
        with self._lock, suppress(sqlite3.Error):
            if self._database is not None:
                query = "SELECT verdict FROM verdicts WHERE name = ?"
                row = self._database.execute(query, (name,)).fetchone()
                return None if row is None else str(row[0])
        return None

    def keep_verdict(self, name: str, verdict: str) -> None:
        """Keep a text, and forget the oldest."""
        with self._lock, suppress(sqlite3.Error, UnicodeError):
            if self._database is not None:
                with self._database:
                    insert = "INSERT OR REPLACE INTO verdicts VALUES (?, ?)"
                    self._database.execute(insert, (name, verdict))
                    latest = "SELECT rowid FROM verdicts ORDER BY rowid DESC LIMIT ?"
                    forget = f"DELETE FROM verdicts WHERE rowid NOT IN ({latest})"
                    self._database.execute(forget, (_VERDICTS,))

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            self._write()
            if self._database is not None:
                self._database.close()
                self._database = None

    def _open(self) -> sqlite3.Connection | None:
        """The database; a broken one is begun anew, and one of other measurements emptied."""
        for _ in range(2):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self._connect()
            except sqlite3.OperationalError:  # locked, or no place for it
                return None
            except (sqlite3.Error, OSError):
                with suppress(OSError):
                    self.path.unlink()
        return None

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_WAIT_S, check_same_thread=False)
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS made_by (version TEXT)")
            for table in _TABLES:
                database.execute(table)
            version = f"{REVISION}, nibabel {nib.__version__}"
            if database.execute("SELECT version FROM made_by").fetchall() != [(version,)]:
                database.execute("DELETE FROM records")
                database.execute("DELETE FROM verdicts")
                database.execute("DELETE FROM made_by")
                database.execute("INSERT INTO made_by VALUES (?)", (version,))
        return database

    def _write(self) -> None:
        records, self._unwritten = self._unwritten, []
        with suppress(sqlite3.Error, UnicodeError):
            if self._database is not None and records:
                with self._database:
                    insert = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)"
                    self._database.executemany(insert, records)
