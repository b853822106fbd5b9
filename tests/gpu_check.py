"""All checks that need a GPU, as one script: prints a table, and exits with 1 if a figure is wrong, 2 without a GPU.

``python tests/gpu_check.py``. Without a GPU, `tests/trace/test_gpu_check.py` runs the checks on a device that pretends.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from gradlint.trace import trace

MIB = 1 << 20
DEVICE = "cuda:0"  # as traces name it
PLACE = DEVICE  # where tensors are put
Check = Callable[[], tuple[object, object]]
CHECKS: dict[str, Check] = {}
ONLY_REAL: set[str] = set()  # what no pretended device can do


def check(function: Check) -> Check:
    """A function that returns what was got and what is right."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def real(function: Check) -> Check:
    """A check of what only a real device has."""
    ONLY_REAL.add(function.__name__.replace("_", " "))
    return function


def block(size: int, device: str = DEVICE) -> object:
    """A tensor of so many bytes; the allocator rounds to 512."""
    return torch.empty(size, dtype=torch.uint8, device=device)


@check
def peak_of_one_block() -> tuple[object, object]:
    with trace() as t, torch.no_grad():
        block(5 * MIB)
    return t.regions[0].peak[DEVICE] - t.regions[0].entered[DEVICE], 5 * MIB


@check
def peaks_nest() -> tuple[object, object]:
    with trace() as t, torch.no_grad():
        block(3 * MIB)
        with torch.enable_grad():
            block(2 * MIB)
        with torch.enable_grad():
            block(4 * MIB)
    return [(r.peak[DEVICE] - r.entered[DEVICE]) // MIB for r in t.regions], [4, 2, 4]


@check
def a_frequent_region_is_read_seldom() -> tuple[object, object]:
    """Of 2,000 regions of one line 127 and then one in 2, 4, 8, 16 is; the one around them knows what each used."""
    with trace() as t, torch.enable_grad():
        for number in range(2000):
            with torch.no_grad():
                block((1 + (number == 1001)) * MIB)
    around, *inside = t.regions
    read = sum(not region.unread for region in inside)
    return ((around.peak[DEVICE] - around.entered[DEVICE]) // MIB, inside[1001].unread, read), (2, True, 381)


@check
def the_programs_own_peak_is_untouched() -> tuple[object, object]:
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    with trace(), torch.no_grad():
        block(7 * MIB)
        with torch.enable_grad():
            block(MIB)
        inside = torch.cuda.max_memory_allocated() - start
    return inside, 7 * MIB


@check
def the_programs_own_reset_works() -> tuple[object, object]:
    with trace(), torch.no_grad():
        block(7 * MIB)
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        block(MIB)
        seen = torch.cuda.max_memory_allocated() - start
    return seen, MIB


@check
def wasted_bytes_are_the_live_difference() -> tuple[object, object]:
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.Tanh()).to(PLACE)
    x = torch.randn(1024, 512, device=PLACE)
    model(x)
    left = []
    for mode in (True, False):
        before = torch.cuda.memory_allocated()
        with torch.set_grad_enabled(mode):
            out = model(x)
        left.append(torch.cuda.memory_allocated() - before)
        del out
    with trace(deep=True) as t:
        model(x)
    return t.wasted, left[0] - left[1]


@check
def a_cheap_trace_estimates_them() -> tuple[object, object]:
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.Tanh()).to(PLACE)
    x = torch.randn(1024, 512, device=PLACE)
    model(x)
    with trace(deep=True) as deep:
        model(x)
    with trace() as cheap, torch.enable_grad():
        model(x)
    return round(cheap.wasted / deep.wasted, 1), 1.0


@check
def training_wastes_nothing() -> tuple[object, object]:
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh()).to(PLACE)
    with trace(deep=True) as t:
        for _ in range(3):
            model(torch.randn(8, 64, device=PLACE)).square().mean().backward()
    return (t.wasted, t.saved > 0, sum(line.alive for line in t.lines)), (0, True, 0)


@check
def training_is_bit_identical() -> tuple[object, object]:
    def train() -> list[float]:
        torch.manual_seed(0)
        model = nn.Linear(64, 64).to(PLACE)
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(8, 64, device=PLACE)).square().mean().backward()
            optimizer.step()
        return [float(p.detach().double().sum()) for p in model.parameters()]

    plain = train()
    with trace(deep=True):
        traced = train()
    return traced, plain


@check
def out_of_memory_is_noted() -> tuple[object, object]:
    with trace() as t:
        try:
            block(1 << 50)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return [note.startswith("out of memory on cuda:0") for p in t.processes for note in p.notes], [True]


@check
def the_accelerators_own_peak_is_untouched() -> tuple[object, object]:
    torch.accelerator.reset_peak_memory_stats()
    start = torch.accelerator.memory_allocated()
    with trace(), torch.no_grad():
        block(7 * MIB)
        with torch.enable_grad():
            block(MIB)
        inside = torch.accelerator.max_memory_allocated() - start
    return inside, 7 * MIB


@check
def every_device_has_its_own_peak() -> tuple[object, object]:
    count = torch.cuda.device_count()
    names = [f"cuda:{index}" for index in range(count)]
    with trace() as t, torch.no_grad():
        for number, name in enumerate(names, 1):
            block(number * MIB, name)
    (region,) = t.regions
    return [region.peak[name] - region.entered[name] for name in names], [MIB * n for n in range(1, count + 1)]


@check
@real
def blocks_of_another_stream_are_counted() -> tuple[object, object]:
    stream = torch.cuda.Stream()
    with trace() as t, torch.no_grad(), torch.cuda.stream(stream):
        block(6 * MIB)
    torch.cuda.synchronize()
    return t.regions[0].peak[DEVICE] - t.regions[0].entered[DEVICE], 6 * MIB


@check
@real
def a_graph_is_captured_and_replayed() -> tuple[object, object]:
    model, x = nn.Linear(64, 64).to(PLACE), torch.ones(8, 64, device=PLACE)
    with torch.no_grad():
        right = model(x).sum().item()
    with trace(deep=True) as t, torch.no_grad():
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            model(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            with torch.enable_grad():  # an event while capturing: memory is looked at, nothing waits
                pass
            out = model(x)
        graph.replay()
        got = out.sum().item()
    return (got, len(t.regions)), (right, 2)


def history() -> list[int]:
    """The sizes of whole MiB that the program's own memory history says were allocated."""
    events = [event for events in torch.cuda.memory._snapshot()["device_traces"] for event in events]
    return [event["size"] // MIB for event in events if event["action"] == "alloc" and event["size"] % MIB == 0]


@check
def the_programs_memory_history_goes_on() -> tuple[object, object]:
    record = torch.cuda.memory._record_memory_history
    record(max_entries=1000)
    try:
        block(2 * MIB)
        with trace(deep=True), torch.no_grad():
            block(3 * MIB)
            torch.cuda.reset_peak_memory_stats()
            block(5 * MIB)
            inside = history()
        block(7 * MIB)
        after = history()
    finally:
        record(enabled=None)
    return (inside, after), ([2, 3, 5], [2, 3, 5, 7])


@check
def a_memory_history_may_begin_and_end_inside() -> tuple[object, object]:
    record = torch.cuda.memory._record_memory_history
    with trace() as t, torch.no_grad():
        record(max_entries=1000)
        try:
            block(3 * MIB)
            inside = history()
        finally:
            record(enabled=None)
        block(4 * MIB)
    return (inside, (t.regions[0].peak[DEVICE] - t.regions[0].entered[DEVICE]) // MIB), ([3], 4)


@check
def the_programs_own_observer_of_out_of_memory_is_called() -> tuple[object, object]:
    seen = []
    api: Any = vars(torch)["_C"]
    api._cuda_attach_out_of_memory_observer(lambda device, *figures: seen.append(device))
    with trace() as t:
        try:
            block(1 << 50)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    return (seen, sum("out of memory" in note for p in t.processes for note in p.notes)), ([0], 1)


@check
@real
def the_programs_profiler_goes_on() -> tuple[object, object]:
    with torch.profiler.profile(profile_memory=True) as profiler, trace(deep=True), torch.no_grad():
        block(2 * MIB)
    return max(event.device_memory_usage for event in profiler.events()), 2 * MIB


def rows() -> Iterator[tuple[str, object, object]]:
    """Each check's name, what was got, what is right."""
    for name, function in CHECKS.items():
        got, right = function()
        yield name, got, right


def main() -> int:
    """Print the table."""
    if not torch.cuda.is_available():
        print("no GPU here")
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    torch.empty(1, device=PLACE)
    wrong = 0
    for name, got, right in rows():
        wrong += got != right
        print(f"{'ok' if got == right else 'WRONG':6} {name:45} got {got}, right {right}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
