"""All checks that need a GPU, as one script: prints a table, and exits with 1 if a figure is wrong, 2 without a GPU.

``python tests/gpu_check.py``
"""

import sys
from collections.abc import Callable, Iterator

import torch
from torch import nn

from gradlint.trace import trace

MIB = 1 << 20
DEVICE = "cuda:0"
Check = Callable[[], tuple[object, object]]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """A function that returns what was got and what is right."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def block(size: int) -> torch.Tensor:
    """A tensor of so many bytes; the allocator rounds to 512."""
    return torch.empty(size, dtype=torch.uint8, device=DEVICE)


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
    model = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.Tanh()).to(DEVICE)
    x = torch.randn(1024, 512, device=DEVICE)
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
def training_is_bit_identical() -> tuple[object, object]:
    def train() -> list[float]:
        torch.manual_seed(0)
        model = nn.Linear(64, 64).to(DEVICE)
        optimizer = torch.optim.AdamW(model.parameters())
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.randn(8, 64, device=DEVICE)).square().mean().backward()
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
    torch.empty(1, device=DEVICE)
    wrong = 0
    for name, got, right in rows():
        wrong += got != right
        print(f"{'ok' if got == right else 'WRONG':6} {name:45} got {got}, right {right}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
