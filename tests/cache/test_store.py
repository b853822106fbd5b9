"""The cache file keeps what it is given, within bounds, whatever happens to it."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gradlint.cache import store
from gradlint.cache.store import BrokenCache, CacheError

WRITER = """
import sys
from gradlint.cache import store
for number in range(1000):
    store.put(sys.argv[1], f"{sys.argv[2]} {number % 8}", bytes([number % 256]) * 50_000)
    print(number, flush=True)
"""


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> str:
    return store.prepare(str(tmp_path))


def test_what_is_kept_is_found_again_and_the_last_one_counts(file: str) -> None:
    store.put(file, "a", b"1")
    store.put(file, "b", b"2")
    store.put(file, "a", b"3")
    assert [store.get(file, key) for key in "abc"] == [b"3", b"2", None]


def test_git_ignores_the_folder(tmp_path: Path, file: str) -> None:
    assert (tmp_path / store.FOLDER / ".gitignore").read_text() == "*\n"
    assert Path(file).parent == tmp_path / store.FOLDER


def test_the_nearest_cache_comes_first(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    files = [store.prepare(str(folder)) for folder in (inner, tmp_path)]
    for file in files:
        store.put(file, "a", b"")
    assert [file for file in store.find(str(inner)) if file.startswith(str(tmp_path))] == files


def test_odd_characters_in_the_path_mean_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "50% ?mode=ro #1 é"
    folder.mkdir()
    file = store.prepare(str(folder))
    store.put(file, "a", b"1")
    assert store.get(file, "a") == b"1"


def test_the_number_of_runs_is_bounded_and_the_oldest_go(file: str) -> None:
    for number in range(store.MOST_RUNS + 10):
        store.put(file, str(number), b"x")
    assert [store.get(file, str(number)) for number in (0, 9, 10)] == [None, None, b"x"]


def test_the_size_is_bounded(file: str) -> None:
    size = store.MOST_BYTES // 5
    for number in range(30):
        store.put(file, str(number), bytes(size))
    assert os.path.getsize(file) < store.MOST_BYTES + 2 * size
    assert store.get(file, "29") is not None


def test_what_is_far_too_large_is_not_kept(file: str) -> None:
    store.put(file, "a", bytes(store.MOST_BYTES))
    assert not os.path.exists(file)


def test_a_file_of_another_version_is_begun_anew(file: str) -> None:
    store.put(file, "a", b"1")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    assert store.get(file, "a") is None
    store.put(file, "b", b"2")
    assert [store.get(file, key) for key in "ab"] == [None, b"2"]


@pytest.mark.parametrize("data", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(range(256)) * 20])
def test_a_broken_file_says_so_and_can_be_discarded(file: str, data: bytes) -> None:
    Path(file).write_bytes(data)
    with pytest.raises(BrokenCache):
        store.get(file, "a")
    with pytest.raises(BrokenCache):
        store.put(file, "a", b"1")
    store.discard(file)
    store.put(file, "a", b"1")
    assert store.get(file, "a") == b"1"


def test_half_a_file_is_broken_or_empty(file: str) -> None:
    for number in range(20):
        store.put(file, str(number), bytes(5_000))
    data = Path(file).read_bytes()
    Path(file).write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenCache):
        _ = [store.get(file, str(number)) for number in range(20)]


def test_a_folder_where_a_file_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / store.FOLDER).write_text("")
    with pytest.raises(CacheError, match="cannot write"):
        store.prepare(str(tmp_path))


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_an_error(file: str) -> None:
    store.put(file, "a", b"1")
    os.chmod(file, 0o444)
    with pytest.raises(CacheError):
        store.put(file, "a", b"2")
    assert store.get(file, "a") == b"1"


def test_two_runs_may_write_at_once(file: str) -> None:
    def write(name: int) -> None:
        for number in range(30):
            store.put(file, f"{name} {number}", bytes(10))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert all(store.get(file, f"{name} {number}") for name in range(2) for number in range(30))


def test_a_run_that_is_killed_while_it_writes_leaves_a_sound_file(file: str) -> None:
    for attempt in range(4):
        run = subprocess.Popen([sys.executable, "-c", WRITER, file, str(attempt)], stdout=subprocess.PIPE)
        assert run.stdout is not None
        for _ in range(5 + 3 * attempt):
            run.stdout.readline()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        with sqlite3.connect(file) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        assert len(store.get(file, f"{attempt} 0") or b"") == 50_000
