"""Room for deep recursion: syntax trees of generated code can be a thousand levels deep.

Python's usual 1,000 frames end at some 200 levels, because a level costs several frames. More frames need
more of the C stack than the main thread has on every system, hence a thread of our own.
"""

import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

STACK_BYTES = 256 * 1024 * 1024  # address space; memory is only taken where it is used
FRAMES = 20_000


def with_deep_stack(function: Callable[[], Result]) -> Result:
    """Call a function where it may recurse deeply; what it returns or raises comes through."""
    frames = sys.getrecursionlimit()
    sys.setrecursionlimit(max(FRAMES, frames))
    try:
        return _started(function).result()
    finally:
        sys.setrecursionlimit(frames)


def _started(function: Callable[[], Result]) -> "Future[Result]":
    before = threading.stack_size(STACK_BYTES)
    pool = ThreadPoolExecutor(1, thread_name_prefix="gradlint")
    try:
        return pool.submit(contextvars.copy_context().run, function)  # starts the thread, with that stack
    finally:
        threading.stack_size(before)
        pool.shutdown(wait=False)  # waiting would keep an interrupt from ending the run
