"""The checks for GPUs, run on devices that pretend: so that they are right when a real one comes."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradlint.trace import accelerator, state, trace
from gradlint.trace.accelerator import Statistics
from tests import gpu_check

TOTAL = 8 << 30


class Block:
    """Memory of a device that pretends."""

    def __init__(self, devices: "Devices", size: int, name: str) -> None:
        self._devices, self._size, self._index = devices, 0, int(name.rpartition(":")[2])
        devices.allocate(self._index, size)
        self._size = size

    def __del__(self) -> None:
        self._devices.change(self._index, -self._size)


class Devices:
    """Two devices with the statistics and the functions of torch's CUDA allocator. Tensors of models are the CPU's."""

    def __init__(self) -> None:
        self.blocks, self.peaks = [0, 0], [0, 0]
        self.observers: list[Callable[[int, int, int, int], None]] = []
        self.history: list[list[dict[str, Any]]] | None = None

    def allocate(self, index: int, size: int) -> None:
        if size > TOTAL:
            for observer in self.observers:
                observer(index, size, TOTAL, TOTAL - self.blocks[index])
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.")
        self.change(index, size)
        if self.history is not None:
            self.history[index].append({"action": "alloc", "size": size})

    def record(self, enabled: str | None, *_: object) -> None:
        """Begin or end the program's memory history, as `torch.cuda.memory._record_memory_history` asks for it."""
        self.history = None if enabled is None else [[], []]

    def snapshot(self, pool: object) -> dict[str, Any]:
        """What `torch.cuda.memory._snapshot` is given; of the history only what was allocated."""
        return {"device_traces": [list(events) for events in self.history or ([], [])], "segments": []}

    def change(self, index: int, size: int) -> None:
        self.blocks[index] += size
        self.peaks[index] = max(self.peaks[index], self.used(index))

    def used(self, index: int) -> int:
        """Blocks, and on the first device the tensors of the CPU."""
        return self.blocks[index] + (self.tensors() if index == 0 else 0)

    def tensors(self) -> int:
        from gradlint.trace import session

        running = session.active()
        return running.tracer.records.sources[0].live() if running else 0

    def statistics(self, index: int) -> Statistics:
        now = self.used(index)
        figures = {"current": now, "peak": max(now, self.peaks[index]), "allocated": now, "freed": 0}
        pools = ("all", "small_pool", "large_pool")
        names = ("allocated_bytes", "reserved_bytes", "active_bytes", "requested_bytes", "allocation", "segment")
        return {
            **{name: {pool: dict(figures) for pool in pools} for name in names},
            "oversize_allocations": dict(figures),
            "num_alloc_retries": 0,
            "num_ooms": 0,
            "max_split_size": -1,
        }

    def reset(self, index: int) -> None:
        self.peaks[index] = self.used(index)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Devices:
    """Devices in the places where torch keeps its own."""
    made = Devices()
    api: Any = vars(torch)["_C"]
    for name, function in {
        "_cuda_memoryStats": made.statistics,
        "_cuda_resetPeakMemoryStats": made.reset,
        "_cuda_attach_out_of_memory_observer": made.observers.append,
        "_cuda_record_memory_history": made.record,
        "_cuda_memorySnapshot": made.snapshot,
        "_accelerator_getDeviceStats": made.statistics,
        "_accelerator_resetPeakStats": made.reset,
    }.items():
        monkeypatch.setattr(api, name, function, raising=False)

    def field(name: str) -> Callable[[], int]:
        return lambda: api._cuda_memoryStats(0)["allocated_bytes"]["all"][name]

    for module in (torch.cuda, torch.accelerator):
        monkeypatch.setattr(module, "is_available", lambda: True)
        monkeypatch.setattr(module, "device_count", lambda: 2)
        monkeypatch.setattr(module, "max_memory_allocated", field("peak"))
        monkeypatch.setattr(module, "memory_allocated", field("current"))
        monkeypatch.setattr(module, "reset_peak_memory_stats", lambda: api._cuda_resetPeakMemoryStats(0))
        monkeypatch.setattr(module, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(accelerator, "_observing", [])
    monkeypatch.setattr("gradlint.trace.session.possible", lambda: True)
    monkeypatch.setattr(gpu_check, "PLACE", "cpu")
    monkeypatch.setattr(gpu_check, "block", lambda size, name="cuda:0": Block(made, size, name))
    return made


# These ask how much torch has allocated while nothing traces, which a device that pretends does not know of the CPU.
_UNTRACED = {"wasted bytes are the live difference", "a cheap trace estimates them"}


@pytest.mark.parametrize("name", sorted(gpu_check.CHECKS.keys() - gpu_check.ONLY_REAL - _UNTRACED))
def test_each_check_is_right_on_devices_that_pretend(name: str, devices: Devices) -> None:
    got, right = gpu_check.CHECKS[name]()
    assert got == right
    assert devices.blocks == [0, 0]


def test_a_check_can_fail(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator.Device, "told", lambda self, statistics: statistics)
    got, right = gpu_check.CHECKS["the programs own peak is untouched"]()
    assert got != right


def test_a_cheap_trace_estimates_what_is_held_on_devices(devices: Devices) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.exp()
            self.held = gpu_check.block(5 << 20)  # as a graph would hold it
            return y

    model = Model()
    with trace() as t, torch.enable_grad():
        model(torch.ones(1000, requires_grad=True))
        assert state().live["cuda:0"] >= 5 << 20
        assert t.processes == []
    (line,) = (line for line in t.lines if line.calls)
    assert line.saved == pytest.approx(5 << 20, abs=4000)  # the pretended device counts the CPU's result too
    del model
    gc.collect()
    assert devices.blocks == [0, 0]
