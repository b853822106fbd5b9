"""Work spread over processes: each takes from its own end of what is left, and then from the others.

The workers are forked, so that they have all there is in memory and need not be told. Neighbouring tasks have
much in common, hence ranges rather than a queue. A worker that dies costs time only: this process does what
the dead one has not answered.
"""

import contextlib
import itertools
import mmap
import os
import pickle
import signal
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Generic, NoReturn, TypeVar

Answer = TypeVar("Answer")

_RANGE = struct.Struct("II")
_alive: set[int] = set()


def can_fork() -> bool:
    """Whether processes can be forked safely here: not on Windows, nor beside macOS's own threads."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_all() -> None:
    """End all workers at once: nobody waits for them any more."""
    for process in [*_alive]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Wire(Generic[Answer]):
    """How an answer goes from one process to another: as what ``send`` makes of it and ``receive`` turns back."""

    send: Callable[[Answer], object]
    receive: Callable[[Any], Answer]


def _as_it_is(answer: Any) -> Any:
    return answer


def spread(
    sizes: Sequence[int],
    do: Callable[[int], Answer],
    jobs: int,
    done: Callable[[int], None],
    wire: Wire[Answer] = Wire(_as_it_is, _as_it_is),
) -> list[Answer]:
    """Do tasks, by number, in so many processes; their answers in order.

    ``sizes`` tells how much work each is. ``done`` hears in this process how many are done, or begun.
    """
    if jobs < 2 or len(sizes) < 2 or not can_fork():
        return [_told(do(number), number + 1, done) for number in range(len(sizes))]
    answers: dict[int, Answer] = {}
    with contextlib.suppress(OSError):  # no file or no process is to be had: then this one does the rest
        _do_together(sizes, do, jobs, done, wire, answers)
    missing = [number for number in range(len(sizes)) if number not in answers]
    answers.update((number, do(number)) for number in missing)
    done(len(sizes))
    return [answers[number] for number in range(len(sizes))]


def _do_together(
    sizes: Sequence[int],
    do: Callable[[int], Answer],
    jobs: int,
    done: Callable[[int], None],
    wire: Wire[Answer],
    answers: dict[int, Answer],
) -> None:
    with _shared(sizes, jobs) as shares:
        try:
            team = [_start(share, do, shares, wire) for share in range(1, jobs)]
            for number in shares.take(0):
                answers[number] = do(number)
                done(len(sizes) - shares.left())
            for process, pipe in team:
                answers.update(_collected(process, pipe, wire))
        finally:
            _reap()


def _told(answer: Answer, count: int, done: Callable[[int], None]) -> Answer:
    done(count)
    return answer


@contextlib.contextmanager
def _shared(sizes: Sequence[int], jobs: int) -> "Iterator[_Shares]":
    with mmap.mmap(-1, _RANGE.size * jobs) as memory, tempfile.TemporaryFile() as file:
        yield _Shares(memory, file, sizes, jobs)  # a lock on the file ends with the process that holds it


class _Shares:
    """What is left of each worker's range, in memory that all of them share."""

    def __init__(self, memory: mmap.mmap, file: IO[bytes], sizes: Sequence[int], jobs: int) -> None:
        self._jobs = jobs
        self._memory = memory
        self._file = file
        for share, (first, last) in enumerate(itertools.pairwise([0, *_ends(sizes, jobs)])):
            self._put(share, first, last)

    def _get(self, share: int) -> tuple[int, int]:
        first, last = _RANGE.unpack_from(self._memory, share * _RANGE.size)
        return int(first), int(last)

    def _put(self, share: int, first: int, last: int) -> None:
        _RANGE.pack_into(self._memory, share * _RANGE.size, first, last)

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
        ranges = [self._get(share) for share in range(self._jobs)]
        return sum(last - first for first, last in ranges)

    def take(self, share: int) -> Iterator[int]:
        """The tasks of one worker: its own from the front, then one by one from the back of the longest other."""
        while (number := self._next(share)) is not None:
            yield number

    def _next(self, share: int) -> int | None:
        with self._locked():
            first, last = self._get(share)
            if first < last:
                self._put(share, first + 1, last)
                return first
            longest = max(range(self._jobs), key=lambda other: self._get(other)[1] - self._get(other)[0])
            first, last = self._get(longest)
            if first == last:
                return None
            self._put(longest, first, last - 1)
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


def _start(share: int, do: Callable[[int], Answer], shares: _Shares, wire: Wire[Answer]) -> tuple[int, int]:
    """Fork a worker: its process and the pipe that its answers come through."""
    reading, writing = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: the others hold no lock that a worker needs
        process = os.fork()
    if process == 0:
        os.close(reading)
        _work(share, do, shares, wire, writing, parent)
    os.close(writing)
    _alive.add(process)
    return process, reading


def _work(
    share: int, do: Callable[[int], Answer], shares: _Shares, wire: Wire[Answer], pipe: int, parent: int
) -> NoReturn:
    """Work, answer, and end: nothing of the parent's is to be run or written again here."""
    status = 1
    try:
        answers: dict[int, object] = {}
        for number in shares.take(share):
            if os.getppid() != parent:
                break  # nobody waits for an answer
            answers[number] = wire.send(do(number))
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(answers, file, protocol=5)
        status = 0
    finally:
        os._exit(status)


def _collected(process: int, pipe: int, wire: Wire[Answer]) -> Iterator[tuple[int, Answer]]:
    """A worker's answers; none if it died."""
    with os.fdopen(pipe, "rb") as file:
        data = file.read()
    _, status = os.waitpid(process, 0)
    _alive.discard(process)
    if status == 0:
        for number, answer in pickle.loads(data).items():
            yield number, wire.receive(answer)


def _reap() -> None:
    """End the workers whose answers are not wanted any more, because something was raised here."""
    end_all()
    for process in [*_alive]:
        os.waitpid(process, 0)
        _alive.discard(process)
