"""What is known of each thread of the traced program."""

import threading
import weakref
from types import CodeType
from typing import TYPE_CHECKING, Any

from gradlint.trace.rows import Row

if TYPE_CHECKING:
    from torch.nn import Module


class Open:
    """A region that a thread is in: which object opened it, from which mode, as which entry of the log.

    ``suspends`` is the code of a generator that may be suspended inside. ``drives`` if it is what a decorated generator
    is in from one ``yield`` to the next, ``parked`` if it was open inside at such a ``yield``. ``inherited`` if this
    process was forked inside. ``read`` if memory of devices was read as it began, and is to be as it ends.
    """

    __slots__ = (
        *("before", "drives", "inherited", "key", "number", "parked", "ran_under", "read", "site", "suspends", "task"),
    )

    def __init__(self, key: int, number: int, site: int, before: int, task: int) -> None:
        self.key = key
        self.number = number
        self.site = site
        self.before = before
        self.task = task
        self.read = True
        self.suspends: CodeType | None = None
        self.drives = self.inherited = self.parked = self.ran_under = False


class Statement:
    """A mode set by a statement, until something sets it back: from and to which mode, how deep.

    ``code`` is the function that set it, None if it may stay; ``site`` is 0 if torch made it for itself.
    """

    __slots__ = ("after", "before", "code", "depth", "key", "site")

    def __init__(self, key: int, site: int, modes: tuple[int, int], depth: int, code: CodeType | None) -> None:
        self.key = key
        self.site = site
        self.before, self.after = modes
        self.depth = depth
        self.code = code


class ThreadState:
    """The running thread: the mode it was last seen in, the regions it is in, what else has been set."""

    __slots__ = (
        *("before", "began", "busy", "compiled", "end", "internal", "lane", "made", "mode", "module", "root", "site"),
        *("stack", "start", "statements", "suspending", "task", "watched"),
    )

    def __init__(self) -> None:
        self.busy = False
        self.mode = -1
        self.lane = -1
        self.task = 0
        self.stack: list[Open] = []
        self.made: Statement | None = None  # perhaps only the making of a region or a decorator
        self.statements: list[Statement] = []
        self.site = 0
        self.internal = 0
        self.suspending = 0
        self.root: Row | None = None  # the line whose forward runs just now
        self.start = 0  # bytes in use when it began
        self.compiled = 0  # torch's frame that called it, if it is a compiled function
        self.watched: CodeType | None = None  # a grad mode's method that is running, and the mode before it
        self.before = -1
        # The hook that began a module's forward, which torch's frame holds: a weak reference, or of C's its address.
        self.began: weakref.ref[Any] | int | None = None
        self.module: Module | None = None
        self.end: Any = None  # `forwards.End`, or C's


class Threads(threading.local):
    """``state`` is the running thread's; an attribute of a thread-local object is slow, so it has only this one."""

    def __init__(self) -> None:
        self.state = ThreadState()
