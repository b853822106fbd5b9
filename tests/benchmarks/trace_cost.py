"""What the tracer costs: CPU time of real steps, as ratios to the same step untraced. Run it; it asserts nothing.

Kinds of tracing are interleaved in one process, in short batches and in an order that chance draws for each round:
drift of the machine, and what one kind leaves in the caches for the next, hits all of them. A batch is compared with
the untraced ones just before and after it; each figure is the median of the rounds' ratios, and behind it how far that
may be off (the standard error of a median). ``nothing`` is measured like all others and is what noise makes.

Memory that is freed stays with the process: whether malloc gives the top of its heap back after each step, and gets it
again page by page, hangs on where a few small blocks happen to lie, and is worth up to 30 % of a step in either
direction. ``python tests/benchmarks/trace_cost.py [ROUNDS]``
"""

import contextlib
import ctypes
import importlib.util
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from gradlint.trace import trace

Step = Callable[[], object]
BATCH = 0.04  # seconds of steps in each measurement
WARMING = 5  # steps that are not measured after tracing began or ended: caches and specialised code are another's


def mlp() -> Step:
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    x, y = torch.randn(128, 256), torch.randint(10, (128,))

    def step() -> None:
        model.zero_grad()
        functional.cross_entropy(model(x), y).backward()

    return step


def adamw_and_clipping() -> Step:
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.AdamW(model.parameters())
    x, y = torch.randn(128, 256), torch.randint(10, (128,))

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model(x).argmax(1)

    return step


def convolution() -> Step:
    first, second = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3)
    model = nn.Sequential(first, nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), second, nn.Flatten())
    x = torch.randn(8, 3, 32, 32)

    def step() -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    return step


def transformer() -> Step:
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(8, 64, 128)

    def step() -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    return step


def profiler() -> AbstractContextManager[Any]:
    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)


@contextlib.contextmanager
def memray() -> Iterator[None]:
    tracker: Any = importlib.import_module("memray").Tracker
    with tempfile.TemporaryDirectory() as folder, tracker(Path(folder) / "memray.bin"):
        yield


KINDS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "default": trace,
    "deep": lambda: trace(deep=True),
    "nothing": contextlib.nullcontext,  # after the others have been there: a removed tracer
    "torch.profiler": profiler,
}
if importlib.util.find_spec("memray"):
    KINDS["memray"] = memray


def seconds(step: Step, count: int, kind: Callable[[], AbstractContextManager[Any]]) -> float:
    """CPU seconds of one step."""
    with kind():
        for _ in range(WARMING):
            step()
        start = time.process_time()
        for _ in range(count):
            step()
        return (time.process_time() - start) / count


def measure(step: Step, rounds: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds of an untraced step, and the ratios of each kind."""
    for _ in range(10):
        step()
    count = max(3, int(BATCH / seconds(step, 5, contextlib.nullcontext)))
    dice = random.Random(0)
    plain = [seconds(step, count, contextlib.nullcontext)]
    ratios: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(rounds):
        for name in dice.sample(list(KINDS), len(KINDS)):
            during = seconds(step, count, KINDS[name])
            plain.append(seconds(step, count, contextlib.nullcontext))
            ratios[name].append(2 * during / (plain[-2] + plain[-1]))
    return statistics.median(plain), ratios


def figure(ratios: list[float]) -> str:
    """The median, and its standard error from the middle half."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} +-{1.25 * (high - low) / 1.35 / len(ratios) ** 0.5:.3f}"


def keep_memory() -> None:
    """Have glibc's malloc give nothing back to the system."""
    trim_threshold, mmap_threshold, never = -1, -3, 1 << 30
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(trim_threshold, never)
        mallopt(mmap_threshold, never)


def main(rounds: int = 60) -> None:
    """Print a table."""
    keep_memory()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"{'step':20} {'ms':>7} " + " ".join(f"{name:>14}" for name in KINDS))
    for make in (mlp, adamw_and_clipping, convolution, transformer):
        plain, ratios = measure(make(), rounds)
        figures = " ".join(f"{figure(found):>14}" for found in ratios.values())
        print(f"{make.__name__:20} {plain * 1000:7.2f} {figures}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
