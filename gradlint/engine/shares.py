"""Ranges of tasks that processes take their own from, and then from one another."""

import contextlib
import itertools
import mmap
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO

_PAIR = struct.Struct("II")


@contextlib.contextmanager
def shares(jobs: int) -> "Iterator[Shares]":
    """What so many processes are to share, if they are forked after this.

    Raises:
        OSError: when there is no room for a file.
    """
    with mmap.mmap(-1, _PAIR.size * (jobs + 1)) as memory, tempfile.TemporaryFile() as file:
        yield Shares(memory, file, jobs)


class Shares:
    """What is left of each worker's range, in memory that all of them share.

    Before the ranges stand the number of the round and what tells its sizes from others: who comes first begins it.
    """

    def __init__(self, memory: mmap.mmap, file: IO[bytes], jobs: int) -> None:
        self._jobs = jobs
        self._memory = memory
        self._file = file  # a lock on it ends with the process that holds it
        self._round = 0

    def begin(self, sizes: Sequence[int]) -> bool:
        """Begin the next round, if nobody has, or come to it: False if it is one of other sizes."""
        self._round += 1
        this = self._round, zlib.crc32(repr([*sizes]).encode())
        with self._locked():
            begun = self._pair(0)
            if begun[0] < self._round:
                self._put(0, *this)
                for share, (first, last) in enumerate(itertools.pairwise([0, *_ends(sizes, self._jobs)])):
                    self._put(share + 1, first, last)
                return True
            return begun == this

    def _pair(self, place: int) -> tuple[int, int]:
        first, last = _PAIR.unpack_from(self._memory, place * _PAIR.size)
        return int(first), int(last)

    def _put(self, place: int, first: int, last: int) -> None:
        _PAIR.pack_into(self._memory, place * _PAIR.size, first, last)

    def _range(self, share: int) -> tuple[int, int]:
        return self._pair(share + 1)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl  # not on Windows

        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def left(self) -> int:
        """How many tasks nobody has begun."""
        ranges = [self._range(share) for share in range(self._jobs)]
        return sum(last - first for first, last in ranges)

    def take(self, share: int) -> Iterator[int]:
        """The tasks of one worker: its own from the front, then one by one from the back of the longest other."""
        while (number := self._next(share)) is not None:
            yield number

    def _next(self, share: int) -> int | None:
        with self._locked():
            first, last = self._range(share)
            if first < last:
                self._put(share + 1, first + 1, last)
                return first
            longest = max(range(self._jobs), key=lambda other: self._range(other)[1] - self._range(other)[0])
            first, last = self._range(longest)
            if first == last:
                return None
            self._put(longest + 1, first, last - 1)
            return last - 1


def _ends(sizes: Sequence[int], jobs: int) -> Iterator[int]:
    """Where ranges of equal size end."""
    total, so_far, share = sum(sizes), 0, 1
    for number, size in enumerate(sizes):
        while share < jobs and so_far >= total * share / jobs:
            yield number
            share += 1
        so_far += size
    for _ in range(share, jobs + 1):
        yield len(sizes)
