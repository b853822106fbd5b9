"""``with trace() as t``: recording part of a program from inside it."""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from gradlint.trace.events import Mode, Trace
from gradlint.trace.read import load


class trace(contextlib.ContextDecorator):  # read like torch.no_grad
    """Record the code inside; the `Trace` that ``as`` names is filled when it ends.

    ``deep`` counts the bytes of every tensor saved for backward. Also a decorator; the last call's trace is then
    its ``result``.
    """

    def __init__(self, *, deep: bool = False) -> None:
        self.deep = deep
        self.result = Trace()
        self._folder = Path()

    def __enter__(self) -> Trace:
        from gradlint.trace import session

        self.result = Trace()
        self._folder = Path(tempfile.mkdtemp(prefix="gradtrace-"))
        session.start(self._folder, deep=self.deep)
        return self.result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from gradlint.trace import session

        session.stop()
        self.result.processes = load(self._folder).processes
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class State:
    """The present: this thread's mode, bytes in use and at most so far by device, and the regions it is in."""

    mode: Mode
    grad_enabled: bool
    inference_mode: bool
    live: dict[str, int]
    peak: dict[str, int]
    regions: tuple[str, ...]


def state() -> State:
    """What this thread would record just now, and what memory is in use.

    Memory and regions are known while something traces; without it they are empty.
    """
    import torch

    from gradlint.trace import session

    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    mode = Mode.INFERENCE if inference else Mode(int(grad))
    running = session.active() if "gradlint.trace.session" in sys.modules else None
    if running is None:
        return State(mode, grad, inference, {}, {}, ())
    live, peak = running.tracer.memory_now()
    return State(mode, grad, inference, live, peak, running.tracer.open_regions())
