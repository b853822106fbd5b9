"""Memory of GPUs and their like, from torch's own allocator statistics.

The allocator keeps one peak for everybody. A tracer that wants the peak of each region resets it at every event; the
program's own `torch.cuda.max_memory_allocated` must not notice. So what each reset throws away is folded into figures
of our own, and the program is told the larger of both. A device is never initialised by us.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from gradlint.trace.memory import Source
from gradlint.trace.patches import Method, Patches
from gradlint.trace.text import size

Statistics = dict[str, Any]  # {"allocated_bytes": {"all": {"current": 1, "peak": 2, ...}, ...}, ..., "num_ooms": 0}
Read = Callable[[int], Statistics]
Reset = Callable[[int], None]


class Device:
    """One device's source. ``read`` and ``reset`` are the allocator's own functions, which know nothing of us."""

    exact = True
    countable = True
    label = "torch's allocator on the device"

    def __init__(self, kind: str, index: int, read: Read, reset: Reset) -> None:
        self.name = f"{kind}:{index}"
        self._index, self._read, self._reset = index, read, reset
        self._folded: dict[tuple[str, str], int] = {}
        self._kept = 0  # the peak that a reset of the program's own took away since our last look

    def take(self) -> tuple[int, int]:
        """Bytes in use now, and the most since the last call."""
        statistics = self._read(self._index)
        for key, figures in _peaks(statistics):
            if figures["peak"] > self._folded.get(key, 0):
                self._folded[key] = figures["peak"]
        self._reset(self._index)
        used = statistics["allocated_bytes"]["all"]
        peak, self._kept = max(used["peak"], self._kept), 0
        return used["current"], peak

    def live(self) -> int:
        """Bytes in use now."""
        return int(self._read(self._index)["allocated_bytes"]["all"]["current"])

    def most(self) -> int:
        """The most since the last call of `take`."""
        return max(self._kept, int(self._read(self._index)["allocated_bytes"]["all"]["peak"]))

    def close(self) -> None:
        """Nothing to undo here: what was folded is told as long as the functions are patched."""

    def told(self, statistics: Statistics) -> Statistics:
        """What the program is to see: peaks as if nobody but itself had reset them."""
        for key, figures in _peaks(statistics):
            figures["peak"] = max(figures["peak"], self._folded.get(key, 0))
        return statistics

    def forget(self) -> None:
        """The program itself is about to reset its peaks."""
        self._kept = max(self._kept, self._read(self._index)["allocated_bytes"]["all"]["peak"])
        self._folded.clear()


def _peaks(statistics: Statistics) -> Iterator[tuple[tuple[str, str], dict[str, int]]]:
    """Each figure that has a peak, by statistic and pool."""
    for name, pools in statistics.items():
        if isinstance(pools, dict):
            for pool, figures in pools.items():
                if isinstance(figures, dict) and "peak" in figures:
                    yield (name, pool), figures


class LiveOnly:
    """A device whose allocator only says what is in use now (MPS)."""

    exact = False
    countable = True
    label = "torch's allocator on the device, which keeps no peak: the highest that was seen at an event"

    def __init__(self, name: str, live: Callable[[], int]) -> None:
        self.name = name
        self.live = self.most = live

    def take(self) -> tuple[int, int]:
        """Bytes in use now, twice."""
        now = self.live()
        return now, now

    def close(self) -> None:
        """Nothing to undo."""


class Accelerators:
    """Finds devices once the program itself has begun to use them."""

    def __init__(self, patches: Patches, oom: Callable[[str], None]) -> None:
        self._patches = patches
        self._oom = oom
        self.found = False

    def look(self) -> list[Source]:
        """Sources for the devices in use; none until then, and none if they have been given already."""
        if self.found or not (torch.cuda.is_initialized() or _begun()):  # asked at every event: both are quick
            return []
        sources = list(self._cuda() if _cuda_is_used() else self._others())
        self.found = bool(sources)
        return sources

    def _cuda(self) -> Iterator[Source]:
        api: Any = torch._C
        yield from self.patched("cuda", torch.cuda.device_count(), "_cuda_memoryStats", "_cuda_resetPeakMemoryStats")
        attach = getattr(api, "_cuda_attach_out_of_memory_observer", None)
        if attach is not None and not _observing:
            attach(_out_of_memory)  # for good: torch has no way to take it back
            _observing.append(True)
        self._patches.finally_(lambda: _told.remove(self))
        _told.append(self)

    def _others(self) -> Iterator[Source]:
        kind = _accelerator_in_use()
        if kind == "mps":
            yield LiveOnly("mps", torch.mps.current_allocated_memory)
        elif kind and hasattr(torch._C, "_accelerator_getDeviceStats"):
            count = torch.accelerator.device_count()
            yield from self.patched(kind, count, "_accelerator_getDeviceStats", "_accelerator_resetPeakStats")

    def patched(self, kind: str, count: int, read_name: str, reset_name: str, api: Any = torch._C) -> Iterator[Device]:
        """Sources for ``count`` devices; the functions are wrapped so that the program sees its own peaks."""
        read, reset = getattr(api, read_name), getattr(api, reset_name)
        devices = [Device(kind, index, read, reset) for index in range(count)]

        def told(original: Method) -> Method:
            def statistics(index: int) -> Statistics:
                return devices[index].told(original(index))

            return statistics

        def forgetting(original: Method) -> Method:
            def reset_peak(index: int) -> None:
                devices[index].forget()
                original(index)

            return reset_peak

        self._patches.replace(api, read_name, told)
        self._patches.replace(api, reset_name, forgetting)
        yield from devices

    def out_of_memory(self, device: int, wanted: int, total: int, free: int) -> None:
        """CUDA calls this when an allocation fails, before it raises."""
        self._oom(
            f"out of memory on cuda:{device}: {size(wanted)} more were wanted, {size(free)} of {size(total)} free"
        )


_observing: list[bool] = []
_told: list[Accelerators] = []


def _out_of_memory(device: int, wanted: int, total: int, free: int) -> None:
    for accelerators in _told:
        accelerators.out_of_memory(device, wanted, total, free)


def possible() -> bool:
    """Whether this torch could use any device but the CPU."""
    backends = torch.version.cuda, torch.version.hip, getattr(torch.version, "xpu", None)
    return any(backends) or torch.backends.mps.is_available()


def _no() -> bool:
    return False


_ready: Callable[[], bool] = getattr(torch._C, "_accelerator_isAllocatorInitialized", _no)


def _begun() -> bool:
    """Whether the accelerator's allocator runs."""
    try:
        return _ready()
    except RuntimeError:  # this torch is for none
        return False


def _cuda_is_used() -> bool:
    return torch.cuda.is_initialized() and torch.cuda.is_available()


def _accelerator_in_use() -> str:
    """The kind of accelerator whose allocator runs; empty if none does."""
    if not _begun() or not torch.accelerator.is_available():
        return ""
    device = torch.accelerator.current_accelerator()
    return device.type if device is not None else ""
