"""The cache file: a small database, safe when two runs share it and when a run is killed while it writes."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

FOLDER = ".gradlint_cache"
FILE = "runs.sqlite3"
VERSION = 2  # of the tables
MOST_BYTES = 16 * 1024 * 1024
MOST_RUNS = 64
_PATIENCE = 2.0  # seconds to wait for another run that writes


class CacheError(Exception):
    """A cache that cannot be used; the run goes on without."""


class BrokenCache(CacheError):
    """A file that is no cache, or no longer one."""


def find(folder: str) -> Iterator[str]:
    """The cache files of a folder and those above it, the nearest first."""
    while True:
        file = os.path.join(folder, FOLDER, FILE)
        if os.path.isfile(file):
            yield file
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def prepare(folder: str) -> str:
    """Make a folder's cache folder, which git is told to ignore; the path of the cache file.

    Raises:
        CacheError: when it cannot be made.
    """
    place = os.path.join(folder, FOLDER)
    try:
        os.makedirs(place, exist_ok=True)
        if not os.path.exists(ignoring := os.path.join(place, ".gitignore")):
            with open(ignoring, "w", encoding="utf-8") as file:
                file.write("*\n")
    except OSError as error:
        raise CacheError(f"cannot write {place}: {error.strerror or error}") from error
    return os.path.join(place, FILE)


def get(file: str, key: str) -> bytes | None:
    """What is kept under a key.

    Raises:
        CacheError: when the file is no cache, or cannot be read.
    """
    with connected(file, "ro") as database:
        if not is_current(database):
            return None
        row = database.execute("SELECT data FROM runs WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row is not None else None


def put(file: str, key: str, data: bytes) -> None:
    """Keep something under a key, in place of what has not been used for longest if there is too much.

    Raises:
        CacheError: when the file cannot be written.
    """
    if len(data) > MOST_BYTES // 4:
        return
    with connected(file, "rwc") as database, database:
        database.execute("BEGIN IMMEDIATE")
        lay_out(database)
        database.execute("DELETE FROM runs WHERE key = ?", (key,))
        database.execute("INSERT INTO runs (key, size, data) VALUES (?, ?, ?)", (key, len(data), data))
        _shrink(database)


def _shrink(database: "sqlite3.Connection") -> None:
    """Forget the oldest runs until the rest is within bounds."""
    total = 0
    rows = database.execute("SELECT number, size FROM runs ORDER BY number DESC").fetchall()
    for count, (number, size) in enumerate(rows, 1):
        total += size
        if count > MOST_RUNS or total > MOST_BYTES:
            database.execute("DELETE FROM runs WHERE number = ?", (number,))


def discard(file: str) -> None:
    """Remove a file that turned out to be no cache.

    Raises:
        CacheError: when it cannot be removed.
    """
    try:
        os.unlink(file)
    except OSError as error:
        raise CacheError(f"cannot remove {file}: {error.strerror or error}") from error


def is_current(database: "sqlite3.Connection") -> bool:
    """Whether a database has the tables that we know."""
    return bool(database.execute("PRAGMA user_version").fetchone() == (VERSION,))


def lay_out(database: "sqlite3.Connection") -> None:
    """Make the tables, in place of those of another version."""
    if is_current(database):
        return
    database.execute("DROP TABLE IF EXISTS runs")
    database.execute("DROP TABLE IF EXISTS parts")
    database.execute("CREATE TABLE runs (number INTEGER PRIMARY KEY, key TEXT UNIQUE, size INTEGER, data BLOB)")
    database.execute("CREATE TABLE parts (key BLOB PRIMARY KEY, used INTEGER, size INTEGER, data BLOB)")
    database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def connected(file: str, mode: str) -> Iterator["sqlite3.Connection"]:
    """An open cache file, to read (``ro``) or to write, and make if need be (``rwc``).

    Raises:
        CacheError: when it is no cache, or cannot be read or written.
    """
    import sqlite3  # only where there is a cache: ``--help`` does without

    try:
        uri = f"file:{_escaped(file)}?mode={mode}"
        with closing(sqlite3.connect(uri, timeout=_PATIENCE, isolation_level=None, uri=True)) as database:
            yield database
    except sqlite3.OperationalError as error:  # locked, read-only, disk full
        raise CacheError(f"{file}: {error}") from error
    except sqlite3.Error as error:
        raise BrokenCache(f"{file}: {error}") from error


def _escaped(file: str) -> str:
    return os.path.abspath(file).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
