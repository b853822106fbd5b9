"""Memory of devices, with an allocator that pretends to be one: the tracer's peaks and the program's own are both true.

What a GPU really does is for ``tests/gpu_check.py``.
"""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from gradlint.trace import session, trace
from gradlint.trace.accelerator import Accelerators, Device, LiveOnly, Statistics, possible
from gradlint.trace.patches import Patches


class Allocator:
    """Keeps statistics as the CUDA allocator does, and what a program that nobody traces would see."""

    def __init__(self) -> None:
        self.current, self.peak, self.untraced_peak = 0, 0, 0
        self.resets = 0

    def change(self, size: int) -> None:
        self.current += size
        self.peak = max(self.peak, self.current)
        self.untraced_peak = max(self.untraced_peak, self.current)

    def statistics(self, index: int) -> Statistics:
        figures = {"current": self.current, "peak": self.peak, "allocated": 0, "freed": 0}
        pools = {"all": dict(figures), "small_pool": dict(figures)}
        return {"allocated_bytes": pools, "active": {"all": {"current": 1, "peak": 1}}, "num_ooms": 0}

    def reset(self, index: int) -> None:
        self.peak = self.current
        self.resets += 1


def api(allocator: Allocator) -> Any:
    return SimpleNamespace(read=allocator.statistics, reset=allocator.reset)


def test_regions_and_the_program_see_true_peaks() -> None:
    dice = random.Random(11)
    for _ in range(200):
        allocator, patches = Allocator(), Patches()
        torch_c = api(allocator)
        (device,) = Accelerators(patches, print).patched("cuda", 1, "read", "reset", torch_c)
        since_look = 0
        for _ in range(100):
            match dice.randrange(5):
                case 0 | 1:
                    allocator.change(dice.randrange(100))
                    since_look = max(since_look, allocator.current)
                case 2:
                    allocator.change(-dice.randrange(allocator.current + 1))
                case 3:
                    assert device.take() == (allocator.current, max(since_look, allocator.current))
                    since_look = allocator.current
                case _:
                    torch_c.reset(0)
                    allocator.untraced_peak = allocator.current
                    since_look = max(since_look, allocator.current)
                    assert device.live() == allocator.current
            seen = torch_c.read(0)["allocated_bytes"]
            assert {pool["peak"] for pool in seen.values()} == {allocator.untraced_peak}
        patches.undo()
        assert vars(torch_c) == vars(api(allocator))


def test_devices_appear_when_the_program_begins_to_use_them(tmp_path: Path) -> None:
    allocator = Allocator()
    begun: list[bool] = []
    running = session.start(tmp_path, deep=False)
    running.tracer.records.more = lambda: [Device("cuda", 0, allocator.statistics, allocator.reset)] if begun else []
    try:
        with torch.no_grad():
            pass
        begun.append(True)
        with torch.no_grad():
            allocator.change(500)
            with torch.enable_grad():
                allocator.change(1000)
                allocator.change(-1200)
            allocator.change(100)
    finally:
        session.stop()
    from gradlint.trace import load

    before, outer, inner = load(tmp_path).regions
    assert set(before.peak) == {"cpu"}
    assert (outer.peak["cuda:0"], inner.peak["cuda:0"], inner.entered["cuda:0"]) == (1500, 1500, 500)
    assert load(tmp_path).peak("cuda:0") == 1500
    assert load(tmp_path).processes[0].devices[1].exact


def test_a_device_without_peaks_says_so() -> None:
    source = LiveOnly("mps", lambda: 7)
    assert (source.take(), source.live(), source.exact) == ((7, 7), 7, False)


def test_out_of_memory_is_noted_with_what_holds_it(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh())
    running = session.start(tmp_path, deep=True)
    try:
        with torch.enable_grad():
            kept = model(torch.ones(64, 64))
            Accelerators(Patches(), running.tracer.out_of_memory).out_of_memory(0, 1 << 30, 8 << 30, 1 << 20)
    finally:
        session.stop()
    from gradlint.trace import load

    (text,) = load(tmp_path).processes[0].notes
    assert text.startswith("out of memory on cuda:0: 1.0 GiB more were wanted, 1.0 MiB of 8.0 GiB free; inside")
    assert text.count(__file__) == 2
    assert f"{kept.nbytes * 2:,} bytes" in text


def test_no_device_is_initialised_by_us() -> None:
    with trace() as t, torch.no_grad():
        pass
    assert [device.name for device in t.processes[0].devices] == ["cpu"]
    assert not torch.cuda.is_initialized()
    if not possible():
        assert Accelerators(Patches(), print).look() == []
