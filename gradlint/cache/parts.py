"""Parts of runs that other runs may use too, by what they were made of."""

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gradlint.cache.store import connected, is_current, lay_out

if TYPE_CHECKING:
    import sqlite3

RECORD = b"record "  # how the keys of large parts begin, of which few are kept
MOST_BYTES = 96 * 1024 * 1024
MOST_RECORDS = 8
_DAY = 24 * 60 * 60  # how exactly it is known when something was used
_AT_ONCE = 500  # SQLite takes only so many values in a query


def get(file: str, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """What is kept under these keys; most are there or none is.

    Raises:
        CacheError: when the file is no cache, or cannot be read.
    """
    wanted, found = [*keys], dict[bytes, bytes]()
    with connected(file, "ro") as database:
        if is_current(database):
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                found.update(database.execute(f"SELECT key, data FROM parts WHERE key IN ({_marks(some)})", some))
    return found


def put(file: str, parts: Mapping[bytes, bytes], used: Iterable[bytes] = ()) -> None:
    """Keep parts, in place of those that have not been used for longest if there are too many.

    ``used`` are others that have been used now.

    Raises:
        CacheError: when the file cannot be written.
    """
    today = int(time.time()) // _DAY
    with connected(file, "rwc") as database, database:
        database.execute("BEGIN IMMEDIATE")
        lay_out(database)
        database.executemany(
            "UPDATE parts SET used = ? WHERE key = ? AND used < ?", ((today, key, today) for key in used)
        )
        rows = ((key, today, len(data), data) for key, data in parts.items())
        database.executemany("INSERT OR REPLACE INTO parts (key, used, size, data) VALUES (?, ?, ?, ?)", rows)
        _shrink(database)


def _shrink(database: "sqlite3.Connection") -> None:
    database.execute(
        "DELETE FROM parts WHERE key IN (SELECT key FROM parts WHERE key BETWEEN ? AND ?"
        " ORDER BY used DESC, rowid DESC LIMIT -1 OFFSET ?)",
        (RECORD, RECORD + b"\xff" * 16, MOST_RECORDS),
    )
    (total,) = database.execute("SELECT sum(size) FROM parts").fetchone()
    if (total or 0) <= MOST_BYTES:
        return
    kept = 0
    for key, size in database.execute("SELECT key, size FROM parts ORDER BY used DESC, key").fetchall():
        kept += size
        if kept > MOST_BYTES:
            database.execute("DELETE FROM parts WHERE key = ?", (key,))


def _marks(values: list[bytes]) -> str:
    return ",".join("?" * len(values))
