"""Peaks of regions, against workloads whose peak is known from arithmetic; sources say what they are."""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradlint.trace import elf, native, sources, torch_api, trace
from gradlint.trace.memory import Resident, Unavailable
from gradlint.trace.reporter import reporter

MIB = 1 << 20
LIBC10 = Path(torch_api.FOLDER) / "lib" / "libc10.so"
Workload = Callable[[], int]
WORKLOADS: dict[str, Workload] = {}


def workload(function: Workload) -> Workload:
    """A function that uses memory and returns the most it had in use at any time, in bytes."""
    WORKLOADS[function.__name__] = function
    return function


@workload
def one_block_freed_before_the_end() -> int:
    torch.empty(5 * MIB, dtype=torch.uint8)
    return 5 * MIB


@workload
def two_blocks_at_the_same_time_and_one_after() -> int:
    a = torch.empty(3 * MIB, dtype=torch.uint8)
    b = torch.empty(2 * MIB, dtype=torch.uint8)
    del a, b
    torch.empty(4 * MIB, dtype=torch.uint8)
    return 5 * MIB


@workload
def memory_that_is_never_touched() -> int:
    torch.empty(512 * MIB, dtype=torch.uint8)
    return 512 * MIB


@workload
def a_temporary_inside_an_expression() -> int:
    x = torch.ones(MIB // 4)
    (x * 2).add_(1)
    y = x + x * 3  # x, the product and the sum
    assert y.numel() == x.numel()
    return 3 * MIB


@workload
def another_thread() -> int:
    x = torch.empty(MIB, dtype=torch.uint8)
    thread = threading.Thread(target=lambda: torch.empty(7 * MIB, dtype=torch.uint8))
    thread.start()
    thread.join()
    return x.nbytes + 7 * MIB


@workload
def a_storage_that_was_emptied() -> int:
    x = torch.empty(6 * MIB, dtype=torch.uint8)
    x.untyped_storage().resize_(0)
    y = torch.empty(5 * MIB, dtype=torch.uint8)
    assert x.untyped_storage().nbytes() + y.nbytes == 5 * MIB
    return 6 * MIB


@workload
def views_share_their_storage() -> int:
    x = torch.empty(1024, 1024)
    views = [x[i:] for i in range(100)] + [x.t(), x.view(-1)]
    assert len(views) == 102
    return 4 * MIB


WEIGHT = torch.randn(512, 512)
INPUT = torch.randn(1024, 512)


@workload
def a_chain_of_matrix_products() -> int:
    x = INPUT
    for _ in range(4):
        x = torch.relu(x @ WEIGHT)  # the old x, the product, the new x
    return 3 * INPUT.nbytes


@workload
def a_training_step_of_an_mlp() -> int:
    weights = [WEIGHT.clone().requires_grad_() for _ in range(3)]
    x = INPUT
    for weight in weights:
        x = torch.sigmoid(x @ weight)  # the product is freed, the result is saved
    x.sum().backward()
    # At the end of the last layer's backward: weights and results, the gradients of the product, of the weight and of
    # the input. The sum and its gradient are 4 bytes each.
    return 3 * WEIGHT.nbytes + 3 * INPUT.nbytes + (INPUT.nbytes + WEIGHT.nbytes + INPUT.nbytes) + 4 + 4


@workload
def a_convolution() -> int:
    x, kernel = torch.ones(4, 8, 32, 32, dtype=torch.double), torch.ones(16, 8, 3, 3, dtype=torch.double)
    y = functional.conv2d(x, kernel, padding=1)
    columns = 4 * (8 * 9) * (32 * 32) * 8  # all images unfolded: doubles are not oneDNN's
    return x.nbytes + kernel.nbytes + y.nbytes + columns


@workload
def normalisation_in_training() -> int:
    x = torch.ones(64, 256, 100)
    nn.BatchNorm1d(256, affine=False, track_running_stats=False)(x)
    return 2 * x.nbytes + 4 * 256 * 4  # the result; mean and deviation of each channel, and as much while it works


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_peak_of_a_region(name: str) -> None:
    WORKLOADS[name]()  # what is made once is made now
    with trace() as t, torch.set_grad_enabled(True):
        expected = WORKLOADS[name]()
    (region,) = t.regions
    assert t.processes[0].devices[0].exact
    assert region.peak["cpu"] - region.entered["cpu"] == expected


def test_nothing_is_left_over_and_a_second_tracer_counts_as_the_first() -> None:
    for _ in range(3):
        with trace() as t, torch.no_grad():
            for _ in range(1000):
                torch.empty(100)
        assert t.regions[0].peak["cpu"] == 400
        assert t.processes[0].samples[-1].live == 0


def test_blocks_from_before_are_not_counted_nor_missed() -> None:
    old = torch.empty(MIB)
    with trace() as t, torch.no_grad():
        del old
        torch.empty(1000, dtype=torch.uint8)
    assert t.peak() == 1000
    assert t.processes[0].samples[-1].live == 0


def test_peaks_nest() -> None:
    with trace() as t, torch.no_grad():
        torch.empty(3 * MIB, dtype=torch.uint8)
        with torch.enable_grad():
            torch.empty(2 * MIB, dtype=torch.uint8)
        with torch.enable_grad():
            torch.empty(4 * MIB, dtype=torch.uint8)
    assert [region.peak["cpu"] // MIB for region in t.regions] == [4, 2, 4]
    assert t.peak() == 4 * MIB


def test_threads_that_allocate_all_at_once() -> None:
    def churn() -> None:
        for n in range(2000):
            torch.empty(n % 7 + 1, dtype=torch.uint8)

    with trace() as t:
        threads = [threading.Thread(target=churn) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with torch.no_grad():
            pass
    assert t.regions[0].entered["cpu"] == 0
    assert 7 <= t.peak() <= 6 * 7


@pytest.mark.parametrize("name", ["reporter", "rss"])
def test_lesser_sources_say_that_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.WANTED, name)
    with trace() as t, torch.no_grad():
        kept = torch.ones(MIB)
    (device,) = t.processes[0].devices
    assert not device.exact
    assert ("torch's own count" in device.source) == (name == "reporter")
    assert device.peak >= kept.nbytes


def test_the_reporter_counts_what_is_in_use_to_the_byte() -> None:
    source = reporter(LIBC10)
    try:
        start = source.live()
        block = torch.empty(12_345, dtype=torch.uint8)
        assert source.live() - start == block.nbytes
        del block
        assert source.live() == start
    finally:
        source.close()


def test_without_a_compiler_the_next_source_is_used_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with trace() as t:
        pass
    assert not t.processes[0].devices[0].exact
    assert any("no C compiler" in note for note in t.processes[0].notes)


def count_with(monkeypatch: pytest.MonkeyPatch, folder: Path, right: str, wrong: str) -> None:
    """Have the counter compiled from source in which something stands for something else."""
    text = (Path(native.__file__).parent / "counter.c").read_text(encoding="utf-8")
    assert right in text
    source = folder / "counter.c"
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    for other in Path(native.__file__).parent.glob("*.c"):
        if other.name != source.name:
            (folder / other.name).write_bytes(other.read_bytes())
    monkeypatch.setattr(native, "_SOURCE", source)
    monkeypatch.setattr(native, "_SOURCES", ("counter.c",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def test_a_counter_that_counts_wrongly_is_found_out_in_a_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    count_with(monkeypatch, tmp_path, "e->size = (int64_t)size;", "e->size = (int64_t)size + 1;")
    with pytest.raises(Unavailable, match="-1 bytes were left"):
        native.counter(LIBC10)
    with pytest.raises(Unavailable, match="-1 bytes were left"):  # remembered, not tried again
        native.counter(LIBC10)


def test_records_that_are_made_wrongly_are_found_out_in_a_child(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count_with(monkeypatch, tmp_path, "(uint16_t)what[1]", "0")
    with pytest.raises(Unavailable, match="a record was made as"):
        native.counter(LIBC10)


def test_a_counter_that_crashes_crashes_a_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    count_with(monkeypatch, tmp_path, "gradlint_new(self, block, size);", "abort();")
    with pytest.raises(Unavailable, match="status -6"):
        native.counter(LIBC10)


def test_slots_are_found_only_in_libraries() -> None:
    names = set(native.CALLS)
    assert elf.slots(LIBC10, names).keys() == names
    assert elf.slots(LIBC10, {"no_such_function"}) == {}
    with pytest.raises(ValueError, match="not loaded"):
        elf.slots(Path(__file__), names)
    with pytest.raises(ValueError, match="no 64-bit"):
        elf.Library(Path(__file__))


def test_the_slots_hold_torchs_own_functions_again_afterwards() -> None:
    def held() -> list[int]:
        return [ctypes.c_uint64.from_address(s.address).value for s in elf.slots(LIBC10, set(native.CALLS)).values()]

    with trace():
        during = held()
    after = held()
    with trace():
        pass
    assert held() == after != during


def test_resident_memory() -> None:
    assert Resident().live() > 10 * MIB
