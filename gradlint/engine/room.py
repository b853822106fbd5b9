"""Room to work in: a deep stack, and no garbage collector.

Syntax trees of generated code can be a thousand levels deep. Python's usual 1,000 frames end at some 200 levels,
because a level costs several frames; more frames need more of the C stack than the main thread has on every
system, hence a thread of our own. Trees hold no cycles, but every collection walks them all: without it a file of
2 MB is parsed in two thirds of the time.
"""

import contextvars
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

STACK_BYTES = 256 * 1024 * 1024  # address space; memory is only taken where it is used
FRAMES = 20_000


def with_room(function: Callable[[], Result]) -> Result:
    """Call a function where it has room; what it returns or raises comes through."""
    with _frames(), _no_collector():
        return _started(function).result()


@contextmanager
def _frames() -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(FRAMES, before))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def _no_collector() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _started(function: Callable[[], Result]) -> "Future[Result]":
    before = threading.stack_size(STACK_BYTES)
    pool = ThreadPoolExecutor(1, thread_name_prefix="gradlint")
    try:
        return pool.submit(contextvars.copy_context().run, function)  # starts the thread, with that stack
    finally:
        threading.stack_size(before)
        pool.shutdown(wait=False)  # waiting would keep an interrupt from ending the run
