"""Trying the native counter where it can do no harm: known allocations must be counted to the byte."""

import sys
import threading
from pathlib import Path

import torch

from gradlint.trace.memory import Source
from gradlint.trace.native import install

SIZE = 3_000_017


def main(library: str, libc10: str) -> None:
    """Exit with what is wrong as the message, or with 0."""
    sys.exit(fault(install(Path(library), Path(libc10))))


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


def _churn() -> None:
    for number in range(500):
        torch.empty(number + 1, dtype=torch.uint8)
