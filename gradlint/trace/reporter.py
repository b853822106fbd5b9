"""The second source for CPU tensors: torch's own dormant bookkeeper, woken through ctypes.

It knows what is in use exactly, on all threads, but keeps no peak: that is the highest seen when something
happened, so at least so much was used.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch

from gradlint.trace.memory import Unavailable

_FLAG = "FLAGS_caffe2_report_cpu_memory_usage"
_KEEPER = "_ZN3c1025profiledCPUMemoryReporterEv"
_WORDS = 14  # of 64 bits: a mutex, a table and two counters, in torch 2.4 to 2.13
_SIZES = (4_000_037, 1_234_577)


@dataclass(slots=True)
class Reporter:
    """Live bytes of CPU tensors allocated since it was woken."""

    flag: ctypes.c_bool
    word: ctypes.c_int64
    name: str = "cpu"
    label: str = "torch's own count of CPU tensors; the peak is the highest that was seen at an event"
    exact: bool = False
    countable: bool = True

    def live(self) -> int:
        """Bytes in use now."""
        return self.word.value

    def most(self) -> int:
        """Bytes in use now: it keeps no peak."""
        return self.word.value

    def take(self) -> tuple[int, int]:
        """Bytes in use now, twice: it keeps no peak."""
        now = self.word.value
        return now, now

    def close(self) -> None:
        """Let the bookkeeper sleep again."""
        self.flag.value = False


def reporter(libc10: Path) -> Reporter:
    """The bookkeeper, awake; which of its words is the count is found by allocating known sizes.

    Raises:
        Unavailable: when torch has none, or none of its words counts.
    """
    try:
        library = ctypes.CDLL(str(libc10))
        flag = ctypes.c_bool.in_dll(library, _FLAG)
        keeper = library[_KEEPER]
    except (OSError, ValueError, AttributeError) as error:
        raise Unavailable(str(error)) from error
    keeper.restype = ctypes.c_void_p
    address = keeper()
    flag.value = True
    words = [ctypes.c_int64.from_address(address + 8 * number) for number in range(_WORDS)]
    counting = set(range(len(words)))
    for size in _SIZES:
        counting &= _moved_by(size, words)
    if len(counting) != 1:
        flag.value = False
        raise Unavailable("torch's count of CPU memory was not found")
    return Reporter(flag, words[counting.pop()])


def _moved_by(size: int, words: list[ctypes.c_int64]) -> set[int]:
    """Which words grew by just this many bytes, and came back, while so many were in use."""
    before = [word.value for word in words]
    block = torch.empty(size, dtype=torch.uint8)
    during = [word.value for word in words]
    del block
    after = [word.value for word in words]
    return {n for n in range(len(words)) if during[n] - before[n] == size and after[n] == before[n]}
