"""One test under the tracer: started, looked at while it runs, and stopped."""

import contextlib
import gc
import sys
from pathlib import Path
from typing import Any

from gradlint.trace.analyse import process_of
from gradlint.trace.events import Site, Trace
from gradlint.trace.read import read


class Running:
    """The trace of a test that runs; each look at an attribute is at what has happened until then."""

    def __init__(self, folder: Path, *, deep: bool) -> None:
        from gradlint.trace import session

        self._session = session.start(folder, deep=deep)
        self._log = self._session.tracer.log.path
        self._base, _ = self._session.tracer.memory_now()

    @property
    def now(self) -> Trace:
        """All that was recorded so far."""
        return Trace([process_of(read(self._log))])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)

    def needed(self) -> dict[str, int]:
        """The most memory in use so far beyond what was in use at the start, by device."""
        _, peaks = self._session.tracer.memory_now()
        return {device: max(peak - self._base.get(device, 0), 0) for device, peak in peaks.items()}

    def settle(self) -> None:
        """Let go of graphs that only cycles of garbage keep; where there is no graph nothing is searched for."""
        if self._session.tracer.rows.graphs():
            gc.collect()

    def stop(self) -> None:
        """End it; what was recorded can still be read."""
        from gradlint.trace import session

        if session.active() is self._session:
            session.stop()

    def forget(self) -> None:
        """Remove its files."""
        for suffix in (".log", ".jsonl", ".lines"):
            with contextlib.suppress(FileNotFoundError):
                self._log.with_suffix(suffix).unlink()


def begun(folder: Path, *, deep: bool) -> Running | None:
    """Begin to trace; not if the tests have not imported torch."""
    if "torch" not in sys.modules or not hasattr(sys.modules["torch"], "inference_mode"):
        return None
    return Running(folder, deep=deep)


def left_by(trace: Trace) -> Site | None:
    """The line that changed a thread's mode and did not change it back."""
    return next((t.left_by for process in trace.processes for t in process.threads if t.left_by is not None), None)
