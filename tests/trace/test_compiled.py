"""Compiled functions: compiled as often as without a tracer, and counted like forwards of root modules."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.modules import module as modules

from gradlint.trace import Mode, session, trace
from gradlint.trace.swift import Swift
from tests.trace.conftest import ROOT

# Torch's own: inductor is imported, a graph break looks at `.grad`.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore:The .grad")]
LAYER, X = nn.Linear(64, 256), torch.ones(32, 64)
KEPT = 32 * 256  # numbers that its relu keeps


class Calls(nn.Module):
    """A root module that calls a function inside its forward."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def layered(x: torch.Tensor) -> torch.Tensor:
    return LAYER(x).relu().sum()


def inside_and_outside(counter: CompileCounter) -> None:
    function = torch.compile(layered, backend=counter)
    function(X)
    Calls(function)(X)
    function(X)


def module_inside_and_outside(counter: CompileCounter) -> None:
    model = torch.compile(nn.Sequential(nn.Linear(64, 8), nn.ReLU()), backend=counter)
    model(X)
    Calls(model)(X)
    model(X)


def with_a_graph_break(counter: CompileCounter) -> None:
    @torch.compile(backend=counter)
    def broken(x: torch.Tensor) -> torch.Tensor:
        y = LAYER(x)
        torch._dynamo.graph_break()
        return LAYER(x) + y

    broken(X)
    Calls(broken)(X)


def eager_inside_compiled(counter: CompileCounter) -> None:
    eager: Any = torch.compiler.disable(Calls(layered).forward)
    function = torch.compile(lambda x: layered(x) + eager(x) + layered(x), backend=counter)
    function(X)
    function(X)


PROGRAMS = [inside_and_outside, module_inside_and_outside, with_a_graph_break, eager_inside_compiled]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is compiled yet."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compilations() -> dict[str, int]:
    """How many graphs each program has compiled."""
    counts = {}
    for program in PROGRAMS:
        torch._dynamo.reset()
        counter = CompileCounter()
        program(counter)
        counts[program.__name__] = counter.frame_count
    return counts


COUNT = """
from gradlint.trace import trace
from tests.trace.test_compiled import compilations
print(untraced := compilations())
for deep in False, True:
    with trace(deep=deep):
        print(compilations())
"""


def test_nothing_is_compiled_again() -> None:
    # In a process of its own: pytest's plugins may have threads, and then the tracer goes about it in another way.
    done = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=False)
    untraced, *traced = done.stdout.splitlines()
    assert traced == [untraced, untraced], done.stderr


@pytest.mark.parametrize("deep", [False, True])
def test_what_was_compiled_before_is_not_compiled_again(deep: bool) -> None:
    counter = CompileCounter()
    function = torch.compile(layered, backend=counter)
    function(X)
    with trace(deep=deep):
        function(X)
        with trace():
            function(X)
    function(X)
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("backend", "each"),
    [("eager", 4), ("aot_eager", 4), ("inductor", 1)],  # inductor keeps which were positive
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_compiled_function_counts_as_a_forward(backend: str, each: int, deep: bool) -> None:
    function = torch.compile(layered, backend=backend)
    with trace(deep=deep) as t:
        for _ in range(3):
            function(X)
        for _ in range(2):
            function(X).backward()
        with torch.no_grad():
            function(X)
    dropped, trained, guarded = sorted(t.lines, key=lambda line: line.line)
    assert (dropped.calls, dropped.wasted_calls, dropped.wasted) == (3, 3, 3 * KEPT * each)
    assert (trained.calls, trained.wasted_calls, trained.wasted) == (2, 0, 0)
    assert (guarded.calls, guarded.mode, guarded.wasted) == (1, Mode.NO_GRAD, 0)


def test_the_forward_after_a_compiled_function_that_raised_is_noticed() -> None:
    def raises(x: torch.Tensor) -> torch.Tensor:
        layered(x)
        torch._dynamo.graph_break()
        raise ValueError("on purpose")

    function = torch.compile(raises, backend="eager")
    with trace() as t:
        with pytest.raises(ValueError, match="on purpose"):
            function(X)
        LAYER(X)
    assert [line.calls for line in t.lines if line.wasted_calls] == [1]
    assert sum(line.calls for line in t.lines) == 2


def test_dynamo_is_as_it_was_when_the_tracer_is_gone() -> None:
    from torch._C._dynamo import eval_frame as switch
    from torch._dynamo import eval_frame

    def names() -> tuple[Any, ...]:
        return switch.set_eval_frame, vars(eval_frame)["set_eval_frame"], vars(eval_frame)["_maybe_set_eval_frame"]

    before = names()
    with trace():
        assert names() != before
        with trace(deep=True):
            pass
    assert names() == before


def test_forwards_of_threads_that_ran_some_before_are_seen_while_one_runs_compiled_code() -> None:
    turn = [threading.Event() for _ in range(3)]

    def waits(x: torch.Tensor) -> torch.Tensor:
        turn[1].set()
        assert turn[2].wait(60)
        return x

    def elsewhere() -> None:
        LAYER(X)
        turn[0].set()
        assert turn[1].wait(60)
        LAYER(X)
        turn[2].set()

    eager: Any = torch.compiler.disable(waits)
    function = torch.compile(lambda x: layered(eager(x)), backend="eager")
    with trace() as t:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert turn[0].wait(60)
        function(X)
        thread.join()
    assert [line.calls for line in t.lines if line.function == elsewhere.__qualname__] == [1, 1]


@pytest.mark.parametrize("in_c", [True, False])
def test_what_was_compiled_beside_threads_that_run_forwards_is_not_compiled_again_without(
    in_c: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_c:
        monkeypatch.setattr(Swift, "of", lambda _: None)
    turn = [threading.Event() for _ in range(2)]

    def elsewhere() -> None:
        LAYER(X)
        turn[0].set()
        assert turn[1].wait(60)
        LAYER(X)

    counter = CompileCounter()
    function = torch.compile(layered, backend=counter)
    with trace() as t:
        running = session.active()
        assert running is not None
        swift = running.tracer.records.swift is not None
        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert turn[0].wait(60)
        LAYER(X)
        function(X)
        Calls(function)(X)  # its thread is in a forward before and afterwards
        turn[1].set()
        thread.join()
        LAYER(X)
        function(X)
    function(X)
    assert counter.frame_count == 1
    assert [line.calls for line in t.lines if line.function == elsewhere.__qualname__] == [1, 1]
    unseen = any("compiled code" in note for process in t.processes for note in process.notes)
    assert unseen is not swift


def test_a_thread_that_runs_no_forwards_costs_nothing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Swift, "of", lambda _: None)
    ended = threading.Event()
    hooks: dict[int, object] = vars(modules)["_global_forward_pre_hooks"]
    inside = []

    def look(module: nn.Module, arguments: object) -> None:
        inside.append(len(hooks))

    layer = nn.Linear(2, 2)
    layer.register_forward_pre_hook(look)
    with trace():
        thread = threading.Thread(target=ended.wait)
        thread.start()
        for _ in range(100):
            layer(torch.ones(2))
        ended.set()
        thread.join()
    assert (inside[0], inside[-1]) == (1, 0)
