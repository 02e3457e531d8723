"""Checksums of files, remembered between runs by path, size, time of change and inode, so that none is read twice."""

import contextlib
import os
import sqlite3
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect._lib.hashing import file_checksum
from cwl_prefect._lib.own_files import make_private, open_private

LARGE = 256 * 1024
"""Bytes from which a file's checksum is remembered between runs; reading less is as fast as looking it up."""

_SETTLED_S = 2.0  # a younger file may change again without its time of change showing it
_FORGET_AFTER_S = 180 * 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS checksums (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, checksum TEXT, seen REAL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells that a file is still the one whose checksum is known."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """Take it from a file's status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Checksums:
    """SHA-1 checksums of files as CWL writes them (``sha1$…``), the algorithm of its File objects.

    May be used by several threads and processes. A memory between runs that is damaged or cannot be written is done
    without; it is never an error.

    Args:
        database: Where checksums of large files are remembered between runs; None: nowhere.
    """

    def __init__(self, database: Path | None) -> None:
        self._known: dict[str, tuple[Identity, str]] = {}
        self._lock = threading.Lock()
        self._database = database
        self._connection: sqlite3.Connection | None = None
        self.bytes_read = 0

    def known(self, path: Path, status: os.stat_result) -> str | None:
        """Return a checksum without reading the file, or None where it is not known or the file changed since."""
        identity = Identity.of(status)
        found = self._known.get(str(path))
        if found is not None and found[0] == identity:
            return found[1]
        if status.st_size < LARGE:
            return None
        checksum = self._recalled(str(path), identity)
        if checksum is not None:
            self._known[str(path)] = (identity, checksum)
        return checksum

    def remember(self, path: Path | str, status: os.stat_result, checksum: str, *, lasting: bool = False) -> None:
        """Remember the checksum of a file that somebody else computed and nobody writes to any more.

        Args:
            path: The file.
            status: Its status from before it was read.
            checksum: As ``sha1$…``.
            lasting: Whether to remember it between runs.
        """
        identity = Identity.of(status)
        self._known[str(path)] = (identity, checksum)
        if lasting and status.st_size >= LARGE:
            self._record(str(path), identity, checksum)

    def compute(self, path: Path) -> str:
        """Read a file and remember its checksum.

        Raises:
            OSError: It cannot be read or is no regular file.
        """
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        checksum = file_checksum(path)
        self.bytes_read += status.st_size
        self.remember(path, status, checksum, lasting=time.time() - status.st_mtime > _SETTLED_S)
        return checksum

    def close(self) -> None:
        """Close the memory between runs."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._database = None, None

    def _recalled(self, path: str, identity: Identity) -> str | None:
        row = self._run("SELECT size, mtime_ns, inode, checksum FROM checksums WHERE path = ?", (path,))
        if row is None or tuple(row[:3]) != (identity.size, identity.mtime_ns, identity.inode):
            return None
        return str(row[3])

    def _record(self, path: str, identity: Identity, checksum: str) -> None:
        values = (path, identity.size, identity.mtime_ns, identity.inode, checksum, time.time())
        self._run("INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?, ?, ?)", values)

    def _run(self, statement: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
        with self._lock:
            try:
                connection = self._connected()
                if connection is None:
                    return None
                row: tuple[object, ...] | None = connection.execute(statement, values).fetchone()
            except sqlite3.OperationalError:
                return None  # locked for long, or the disk is full
            except sqlite3.DatabaseError:
                self._start_anew()
                return None
            return row

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is not None or self._database is None:
            return self._connection
        try:
            self._connection = _open(self._database)
        except (OSError, sqlite3.OperationalError):
            self._database = None
        return self._connection

    def _start_anew(self) -> None:
        """Drop a damaged memory; the next process finds none and begins another."""
        if self._connection is not None:
            self._connection.close()
        if self._database is not None:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    Path(f"{self._database}{suffix}").unlink(missing_ok=True)
        self._connection, self._database = None, None


def _open(database: Path) -> sqlite3.Connection:
    make_private(database.parent)
    os.close(open_private(str(database), os.O_RDWR | os.O_CREAT))
    connection = sqlite3.connect(database, timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")  # a lost checksum is computed again
    connection.execute(_SCHEMA)
    return connection


def forget_old(database: Path, *, older_than_s: float = _FORGET_AFTER_S) -> int:
    """Forget checksums that were computed long ago, and tell how many."""
    if not database.exists():
        return 0
    try:
        with contextlib.closing(_open(database)) as connection:
            found = connection.execute("DELETE FROM checksums WHERE seen < ?", (time.time() - older_than_s,))
            return found.rowcount
    except (OSError, sqlite3.DatabaseError):
        return 0
