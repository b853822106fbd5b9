"""What C does in the place of Python functions in every step, if the counter was compiled with Python's headers.

Each of these does the ordinary case and leaves all others to the Python function whose place it takes: see ``hooks.c``.
"""

import ctypes
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from gradlint.trace import torch_api
from gradlint.trace.log import Log
from gradlint.trace.rows import Row
from gradlint.trace.tasks import running_loop
from gradlint.trace.threads import Open, ThreadState

if TYPE_CHECKING:
    from gradlint.trace.tracer import Tracer

ENTER, EXIT, MAKE, DECORATE = range(4)


class Watch(Protocol):
    """The C half of `forwards.Forwards`."""

    def start(self) -> bool:
        """Begin to watch calls of modules; False if that cannot be done."""
        ...

    def stop(self) -> None:
        """Watch no more."""


class Swift:
    """The functions of a compiled library."""

    def __init__(self, library: ctypes.PyDLL) -> None:
        self._tracing = _function(library, "tracing", ctypes.py_object)
        self._method = _function(library, "method", ctypes.py_object, ctypes.c_int, ctypes.c_int)
        self._library = library
        self._forwards = _function(library, "forwards", ctypes.py_object, ctypes.c_int)

    @classmethod
    def of(cls, library: ctypes.PyDLL) -> "Swift | None":
        """Those of a library; None if it has none."""
        if not hasattr(library, "gradlint_prepare"):
            return None
        _function(library, "prepare", *[ctypes.py_object] * 4)(ThreadState, Row, Open, Log)
        return cls(library)

    def tracing(self, tracer: "Tracer") -> object:
        """What the others need to know of a tracer."""
        given = SimpleNamespace(
            records=tracer.records,
            threads=tracer.threads,
            kind=tracer.places.kind,
            closed=tracer.places.closed,
            numbers=tracer.places.numbers,
            inference=torch_api.is_inference,
            enabled=torch_api.is_grad_enabled,
            loop=running_loop,
            broke=tracer.broke,
        )
        return self._tracing(given)

    def method(self, tracing: object, which: int, *, nests: bool, **given: object) -> Callable[..., Any]:
        """A method of a grad mode."""
        made: Callable[..., Any] = self._method(SimpleNamespace(tracing=tracing, **given), which, nests)
        return made

    def watch(self, methods: Sequence[Callable[..., Any]]) -> tuple[Callable[..., None], Callable[..., None]]:
        """What `sys.monitoring` is to call when the code of one of them starts, and when it returns."""
        watch = _function(self._library, "watch", ctypes.py_object)  # from Python 3.12 on
        started, returned = watch(tuple(methods))
        return started, returned

    def forwards(self, tracer: "Tracer", *, counted: bool, **given: object) -> Watch:
        """A watch over forwards of root modules."""
        made: Watch = self._forwards(SimpleNamespace(tracing=self.tracing(tracer), **given), counted)
        return made


def _function(library: ctypes.PyDLL, name: str, *types: Any) -> Callable[..., Any]:
    found: Any = library[f"gradlint_{name}"]
    found.restype, found.argtypes = ctypes.py_object, list(types)
    function: Callable[..., Any] = found
    return function
