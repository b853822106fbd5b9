"""Trying the native counter where it can do no harm: known allocations must be counted to the byte."""

import sys
import tempfile
import threading
from array import array
from pathlib import Path

import torch

from gradlint.trace import native
from gradlint.trace.forwards import Forwards
from gradlint.trace.log import RECORD
from gradlint.trace.memory import Source
from gradlint.trace.native import Counter
from gradlint.trace.patches import install
from gradlint.trace.rows import CALLS, GRAPHS, WASTED_CALLS
from gradlint.trace.tracer import Tracer

SIZE = 3_000_017


def main(library: str, libc10: str) -> None:
    """Exit with what is wrong as the message, or with 0."""
    counter = native.install(Path(library), Path(libc10))
    sys.exit(fault(counter) or fault_of_records(counter) or fault_of_hooks(counter))


def fault(source: Source) -> str | None:
    """What the source counts wrongly; None if nothing: one block, its end, a peak, another thread's blocks."""
    start = source.live()
    source.take()
    block = torch.empty(SIZE, dtype=torch.uint8)
    live, peak = source.take()
    if (live - start, peak - start) != (SIZE, SIZE):
        return f"{SIZE} bytes were counted as {live - start}, their peak as {peak - start}"
    del block
    live, peak = source.take()
    if (live - start, peak - start) != (0, SIZE):
        return f"after they were freed {live - start} bytes were left, the peak was {peak - start}"
    _, peak = source.take()
    if peak != start:
        return f"a new period began with a peak of {peak - start}"
    threads = [threading.Thread(target=_churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = source.live() - start
    return f"{left} bytes were left by threads that freed all" if left else None


def fault_of_records(counter: Counter) -> str | None:
    """What is wrong with records that the C code makes; None if nothing, or if it makes none."""
    chunk, words = array("q", bytes(2 * RECORD.size)), array("q", [RECORD.size, 0, 0, 0])
    record = counter.recorder(chunk, words)
    if record is None:
        return None
    made = record(70_000, 3, 5, 7), record(0, 0, 0, 0)
    found = RECORD.unpack_from(chunk, RECORD.size)
    good = (words[1], counter.live(), words[2], 70_000, 3, 5, 7)
    return None if (made, found) == ((True, False), good) else f"a record was made as {found} instead of {good}"


def fault_of_hooks(counter: Counter) -> str | None:
    """What is wrong with what is told of three forwards and of two changes of mode that torch makes for itself."""
    with tempfile.TemporaryDirectory() as folder:
        tracer = Tracer(Path(folder), [counter])
        patches, forwards = install(tracer), Forwards(tracer, counted=False)
        forwards.install(patches)
        module, given = torch.nn.Linear(4, 4), torch.ones(1, 4)
        out = given
        for _ in range(3):  # the first may be Python's to do: it finishes what it saw before
            out = module(given)
        out.sum().backward()
        before = tracer.threads.state.internal
        torch.nn.init.zeros_(module.weight)
        forwards.remove()
        patches.undo()
        row = next(iter(tracer.rows.ways.values()))
        state = tracer.threads.state
        found = row.words[CALLS], row.words[WASTED_CALLS], row.words[GRAPHS]
        internal, mode = state.internal - before, state.mode
        tracer.finish()
    if found != (3, 2, 0):
        return f"three forwards were counted as {found}"
    return None if (internal, mode) == (2, 1) else f"two changes of mode were counted as {internal}, {mode}"


def _churn() -> None:
    for number in range(500):
        torch.empty(number + 1, dtype=torch.uint8)
