"""What C does in the place of Python functions in every step, if the counter was compiled with Python's headers.

Each of these does the ordinary case and leaves all others to the Python function whose place it takes: see ``hooks.c``.
"""

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

from gradlint.trace.rows import Row
from gradlint.trace.threads import Open, ThreadState

ENTER, EXIT, MAKE = range(3)


class Watch(Protocol):
    """The C half of `forwards.Forwards`."""

    def hook(self) -> Any:
        """A new hook for all modules."""

    def end(self, key: int) -> Any:
        """A new hook for the modules whose forwards one thread runs."""

    def stop(self) -> None:
        """Begin no more forwards."""


class Swift:
    """The functions of a compiled library."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._method = library.gradlint_method
        self._method.restype, self._method.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_int, ctypes.c_int]
        self._forwards = library.gradlint_forwards
        self._forwards.restype, self._forwards.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_int]

    @classmethod
    def of(cls, library: ctypes.PyDLL) -> "Swift | None":
        """Those of a library; None if it has none."""
        prepare = getattr(library, "gradlint_prepare", None)
        if prepare is None:
            return None
        prepare.restype, prepare.argtypes = ctypes.py_object, [ctypes.py_object] * 3
        prepare(ThreadState, Row, Open)
        return cls(library)

    def method(self, which: int, *, nests: bool, **given: object) -> Callable[..., Any]:
        """A method of a grad mode: ``original`` if torch calls it for itself, else ``python``."""
        made: Callable[..., Any] = self._method(SimpleNamespace(**given), which, nests)
        return made

    def forwards(self, *, counted: bool, **given: object) -> Watch:
        """A watch over forwards of root modules."""
        made: Watch = self._forwards(SimpleNamespace(**given), counted)
        return made
