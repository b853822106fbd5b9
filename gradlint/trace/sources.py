"""Choosing what to measure memory with: the best that works here, and a word on why not a better one."""

import os
from collections.abc import Callable
from pathlib import Path

from gradlint.trace import torch_api
from gradlint.trace.memory import Resident, Source, Unavailable
from gradlint.trace.native import counter
from gradlint.trace.reporter import reporter

WANTED = "GRADLINT_TRACE_CPU"  # native, reporter or rss: no better one than this is tried


def sources() -> tuple[list[Source], list[str]]:
    """One source for each device, the CPU's first, and what is to be said of the choice."""
    source, notes = cpu()
    return [source], notes


def cpu() -> tuple[Source, list[str]]:
    """What counts CPU tensors best; why a better one could not be had, if so."""
    libc10 = Path(torch_api.FOLDER) / "lib" / "libc10.so"
    notes = []
    wanted = os.environ.get(WANTED, "native")
    makers: dict[str, Callable[[Path], Source]] = {"native": counter, "reporter": reporter}
    for name in list(makers)[list(makers).index(wanted) if wanted in makers else len(makers) :]:
        try:
            source = makers[name](libc10)
        except Unavailable as error:
            notes.append(f"memory: {name} count not available: {error}")
            continue
        return source, notes
    return Resident(), notes
