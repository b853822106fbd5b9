"""Records that the C code makes are those that Python would have made."""

import errno
import os
import sysconfig
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gradlint.trace import native, sources, torch_api, trace
from gradlint.trace.log import CHUNK, RECORD, Log
from gradlint.trace.read import read

LIBC10 = Path(torch_api.FOLDER) / "lib" / "libc10.so"
EACH = CHUNK // RECORD.size  # records in a chunk; the header takes the place of the first


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log whose records are made in C."""
    source, _ = sources.cpu()
    assert isinstance(source, native.Counter)
    log = Log(tmp_path, "1", 1, 2)
    log.record_with(source.recorder)
    if log.swift is None:
        pytest.skip("without Python's headers")
    yield log
    log.close()
    source.close()


def test_a_record_holds_what_it_was_given_the_time_and_the_memory(log: Log) -> None:
    assert log.swift is not None
    before = time.monotonic_ns()
    assert log.swift(70_000, 65_535, 13, 2)
    after = time.monotonic_ns()
    block = torch.empty(5_000, dtype=torch.uint8)
    freed = torch.empty(3_000, dtype=torch.uint8)
    del freed
    assert log.swift(1, 0, 0, 3)
    del block
    log.record(9, 8, 7, 6, 5, 4, 3)
    log.close()
    first, second, third = read(log.path).records
    assert before <= first[0] <= after <= second[0]
    assert first[3:] == (70_000, 65_535, 13, 2)
    assert second[1:] == (first[1] + 5_000, first[1] + 8_000, 1, 0, 0, 3)
    assert third == (9, 8, 7, 6, 5, 4, 3)


@pytest.mark.parametrize("numbers", [(1 << 32, 0, 0, 0), (0, 1 << 16, 0, 0), (0, 0, 256, 0), (0, 0, 0, -1)])
def test_what_has_no_room_in_a_record_is_refused(log: Log, numbers: tuple[int, int, int, int]) -> None:
    assert log.swift is not None
    with pytest.raises(OverflowError):
        log.swift(*numbers)
    log.close()
    assert read(log.path).records == []


def test_records_go_on_in_the_next_chunk(log: Log) -> None:
    for number in range(2 * EACH):
        if log.swift is None or not log.swift(number, 0, 0, 8):
            log.record(0, 0, 0, number, 0, 0, 8)
    log.close()
    assert [record[3] for record in read(log.path).records] == list(range(2 * EACH))


def test_a_full_disk_ends_them(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    for number in range(EACH + 10):
        if log.swift is None or not log.swift(number, 0, 0, 8):
            log.record(0, 0, 0, number, 0, 0, 8)
    log.close()
    assert (len(read(log.path).records), log.lost) == (EACH - 1, 11)


def test_nothing_is_recorded_after_the_end(log: Log) -> None:
    assert log.swift is not None
    log.swift(1, 0, 0, 8)
    log.close()
    assert not log.swift(2, 0, 0, 8)
    assert log.path.stat().st_size == 2 * RECORD.size


def regions() -> list[tuple[str, int, list[int]]]:
    """What a trace says of two regions, one with a block of memory in it."""
    with trace() as t:
        for size in (0, 70_000):
            with torch.no_grad():
                torch.empty(size, dtype=torch.uint8)
    assert t.processes[0].devices[0].exact
    return [(r.site.function, r.site.line, list(r.peak.values())) for r in t.regions if r.site is not None]


def test_without_pythons_headers_python_makes_the_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_headers = regions()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert regions() == with_headers
    source = native.counter(LIBC10)
    assert source.recorder(array("q", [0]), array("q", [0, 0, 0])) is None
    source.close()
