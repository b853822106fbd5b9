"""Room to work in: a deep stack, and no garbage collector.

Syntax trees of generated code can be a thousand levels deep. Python's usual 1,000 frames end at some 200 levels,
because a level costs several frames; more frames need more of the C stack than the main thread has on every
system, hence a thread of our own. Trees hold no cycles, but every collection walks them all: without it a file of
2 MB is parsed in two thirds of the time.
"""

import contextvars
import functools
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Literal, TypeVar

from gradlint.engine import workers

Result = TypeVar("Result")

STACK_BYTES = 256 * 1024 * 1024  # address space; memory is only taken where it is used
FRAMES = 20_000


def with_room(function: Callable[[], Result], *, stays: bool = False) -> Result:
    """Call a function where it has room; what it returns or raises comes through.

    What it leaves behind ``stays``, if so, for later calls: no collection goes through that again.
    """
    with _frames(), _no_collector(stays):
        try:
            return _Work(function).result()
        finally:
            workers.end_all()  # those of a call that has been given up


@contextmanager
def _frames() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(FRAMES, before))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def _no_collector(stays: bool) -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if stays:
            gc.freeze()
        if was_enabled:
            gc.enable()


class _Work(Generic[Result]):
    """A call in a thread of its own, which ends with the process at the latest."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._call: Callable[[], Result] = functools.partial(contextvars.copy_context().run, function)
        self._returned: list[Result] = []
        self._done: SimpleQueue[BaseException | None] = SimpleQueue()
        before = threading.stack_size(STACK_BYTES)
        try:
            threading.Thread(target=self._run, name="gradlint", daemon=True).start()
        finally:
            threading.stack_size(before)

    def _run(self) -> None:
        with self:
            self._returned.append(self._call())

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[True]:
        self._done.put(error)  # for :meth:`result` to raise
        return True

    def result(self) -> Result:
        """What the call returned, or raised; an interrupt ends the wait."""
        error = self._done.get()
        if error is not None:
            raise error
        return self._returned[0]
