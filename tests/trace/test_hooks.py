"""What C does in every step is what Python would have done: each situation is traced both ways, and told the same."""
# gradlint: ignore-file[GL309, GL310, GL314] odd ways are traced alike, too

import asyncio
import contextlib
import copy
import gc
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules

from gradlint.trace import Trace, hooked, native, runners, session, torch_api, trace
from gradlint.trace.accelerator import LiveOnly
from gradlint.trace.events import Mode, Process, Region
from gradlint.trace.memory import Unavailable
from gradlint.trace.swift import Swift
from gradlint.trace.tracer import Tracer

LIBC10 = Path(torch_api.FOLDER) / "lib" / "libc10.so"


@pytest.fixture(autouse=True)
def compiled() -> None:
    """Only where the library holds them: it is compiled without where Python's headers are missing."""
    counter = native.counter(LIBC10)
    found = counter.swift()
    counter.close()
    if found is None:
        pytest.skip("the counter was compiled without Python's headers")


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no other thread be seen: those of pytest's plugins would leave most to Python."""
    monkeypatch.setattr(runners, "RUNNING", {threading.get_ident(): threading.current_thread()})


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))


def used() -> None:
    net = model()
    for _ in range(3):
        net(torch.ones(2, 8)).sum().backward()


def dropped() -> None:
    net = model()
    for _ in range(3):
        net(torch.ones(2, 8))


def without_graph() -> None:
    net = model()
    with torch.no_grad():
        net(torch.ones(2, 8))
    with torch.inference_mode():
        net(torch.ones(2, 8))


def kept_and_growing() -> None:
    net, kept = model(), []
    for _ in range(8):
        kept.append(net(torch.ones(2, 8)))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = model()

    def forward(self, x: torch.Tensor, *, fail: bool = False) -> Any:
        out = self.inside(x)
        if fail:
            raise ValueError("no")
        return {"a": (out, out * 2), "b": None}


def results_of_several_parts() -> None:
    net = Pair()
    net(torch.ones(2, 8))["a"][1].sum().backward()
    net(torch.ones(2, 8))


def exceptions() -> None:
    net = Pair()
    for _ in range(2):
        with contextlib.suppress(ValueError):
            net(torch.ones(2, 8), fail=True)
    net(torch.ones(2, 8))


class Stopped(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt


def interrupted() -> None:
    net = model()
    for _ in range(2):
        with contextlib.suppress(KeyboardInterrupt):
            nn.Sequential(net, Stopped())(torch.ones(2, 8))
        net(torch.ones(2, 8))


def hooks_of_the_program() -> None:
    net = model()
    seen: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda module, given: None)
    net.register_forward_hook(lambda module, given, result: result * 2)
    out = net(torch.ones(2, 8))
    out.register_hook(seen.append)
    out.sum().backward()
    assert len(seen) == 1


class Hooked(nn.Module):
    """Gives back a tensor with a hook of its own, and another one that was hooked and let go."""

    def __init__(self, seen: list[torch.Tensor]) -> None:
        super().__init__()
        self.inside, self.seen = model(), seen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inside(x)
        out.register_hook(self.seen.append)
        return out


def results_that_have_hooks() -> None:
    seen: list[torch.Tensor] = []
    net = Hooked(seen)
    net(torch.ones(2, 8)).sum().backward()
    net(torch.ones(2, 8))
    assert len(seen) == 1


def copied_in_the_middle() -> None:
    net = model()
    copies = []
    net[1].register_forward_hook(lambda *_: copies.append((copy.deepcopy(net), pickle.dumps(net.state_dict()))))
    net(torch.ones(2, 8))
    copies[0][0](torch.ones(2, 8))


def on_two_threads() -> None:
    net = model()
    thread = threading.Thread(target=dropped, name="other")

    def meanwhile(*given: object) -> None:
        if thread.ident is None:
            thread.start()
            thread.join()

    net[1].register_forward_hook(meanwhile)
    net(torch.ones(2, 8)).sum().backward()
    net(torch.ones(2, 8))


def modes_of_torch() -> None:
    net = model()
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.ones(2, 8)).sum().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad(), torch.enable_grad():
            torch.set_grad_enabled(False)
            torch.set_grad_enabled(mode=True)

    @torch.no_grad()
    def decorated() -> None:
        net(torch.ones(2, 8))

    @torch.set_grad_enabled(False)
    def made_anew() -> None:
        net(torch.ones(2, 8))

    @torch.inference_mode()
    def nested() -> None:
        decorated()
        made_anew()

    for _ in range(3):
        decorated()
        made_anew()
        nested()


def regions_of_the_program() -> None:
    """Regions inside each other, entered again, left by exceptions, left out of order, made anew or once."""
    again, early, late = torch.no_grad(), torch.enable_grad(), torch.inference_mode()
    for _ in range(3):
        with again, torch.enable_grad(), torch.inference_mode(), again:
            torch.ones(100)
        with torch.no_grad(), contextlib.suppress(ValueError), torch.enable_grad():
            raise ValueError
        with torch.set_grad_enabled(False), torch.set_grad_enabled(mode=True), torch.no_grad():
            torch.ones(10)
    odd: Any = torch.no_grad.__enter__
    early.__enter__()
    late.__enter__()
    early.__exit__(None, None, None)
    late.__exit__(None, None, None)
    with torch.no_grad(), contextlib.suppress(TypeError):
        odd(torch.no_grad(), 1)


def regions_that_do_not_restore() -> None:
    for _ in range(3):
        with torch.no_grad():
            torch._C._set_grad_enabled(True)  # as C++ does, unseen
    with torch.no_grad():
        torch._C._set_grad_enabled(True)
        with torch.no_grad():
            torch.ones(1)
    torch._C._set_grad_enabled(True)
    twice = torch.no_grad()
    with torch.enable_grad(), torch.no_grad():
        with twice, torch.enable_grad(), twice:
            torch.ones(1)
        torch._C._set_grad_enabled(True)
    torch.set_grad_enabled(False)
    with torch.enable_grad():
        torch.ones(1)
    torch.set_grad_enabled(True)


def suspended() -> None:
    net = model()

    def generator() -> Iterator[torch.Tensor]:
        with torch.no_grad():
            yield net(torch.ones(2, 8))
            yield net(torch.ones(2, 8))

    @torch.no_grad()
    def decorated() -> Iterator[torch.Tensor]:
        yield net(torch.ones(2, 8))
        with torch.enable_grad():
            yield net(torch.ones(2, 8))

    @contextlib.contextmanager
    def managed() -> Iterator[None]:
        with torch.no_grad():
            yield

    for _ in generator():
        net(torch.ones(2, 8))
    for _ in decorated():
        net(torch.ones(2, 8))
    with managed(), torch.enable_grad():
        net(torch.ones(2, 8))
    stopped = generator()
    next(stopped)
    net(torch.ones(2, 8))
    del stopped


def in_tasks() -> None:
    net = model()

    def inside() -> None:
        with torch.no_grad():
            torch.ones(1)

    async def job(wait: bool) -> None:
        inside()
        with torch.no_grad():
            if wait:
                await asyncio.sleep(0)
            net(torch.ones(2, 8))

    async def main() -> None:
        waits = enumerate((False, True, False))
        await asyncio.gather(*(asyncio.create_task(job(wait), name=f"job {number}") for number, wait in waits))

    for _ in range(2):
        inside()
        asyncio.run(main())
    inside()


class Calls(nn.Linear):
    """Has a way of its own to be called."""

    def __call__(self, x: torch.Tensor) -> Any:
        return super().__call__(x)


def called_in_other_ways() -> None:
    net = Calls(8, 8)
    for _ in range(2):
        net(torch.ones(2, 8))
        net.__call__(torch.ones(2, 8))
        nn.Module.__call__(net, input=torch.ones(2, 8)).sum().backward()
        net.forward(torch.ones(2, 8))
        map(net, [])
        list(map(net, [torch.ones(2, 8)]))


def compiled_functions() -> None:
    net = model()
    torch._dynamo.reset()
    function = torch.compile(lambda x: net(x).sum(), backend="eager")
    whole = torch.compile(net, backend="eager")
    for _ in range(2):
        function(torch.ones(2, 8)).backward()
        function(torch.ones(2, 8))
        whole(torch.ones(2, 8))
    torch._dynamo.reset()


def transformed() -> None:
    net = model()
    torch.func.vmap(net)(torch.ones(3, 2, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(net, torch.ones(2, 8))
    torch.export.export(net, (torch.ones(2, 8),))
    net(torch.ones(2, 8))


SITUATIONS: list[Callable[[], None]] = [
    used,
    dropped,
    without_graph,
    kept_and_growing,
    results_of_several_parts,
    exceptions,
    interrupted,
    hooks_of_the_program,
    results_that_have_hooks,
    copied_in_the_middle,
    on_two_threads,
    modes_of_torch,
    regions_of_the_program,
    regions_that_do_not_restore,
    suspended,
    in_tasks,
    called_in_other_ways,
    compiled_functions,
    transformed,
]


def told(t: Trace) -> object:
    """All that was counted: whatever is no time. How much the parameters' gradients weigh shows in estimates only."""
    (process,) = t.processes
    return (
        process.notes,
        [(str(line), line.mode, line.calls, line.wasted_calls, line.saved, line.wasted, line.alive, line.most,
          line.growing, line.routes) for line in process.lines],
        [(str(region.site), region.mode, region.before, region.peak.keys(), region.task,
          _inside(region, process.regions)) for region in process.regions],
        [(change.site, change.mode, change.before, change.implicit) for change in process.changes],
        process.leaks,
        sorted(_changed(process)),
    )  # fmt: skip


def _inside(region: Region, regions: list[Region]) -> list[int] | None:
    """Which regions begin and end inside of this one of their thread; None if it was never left."""
    if region.end is None:
        return None
    return [
        number
        for number, other in enumerate(regions)
        if other.thread == region.thread and region.start <= other.start and (other.end or 0) <= region.end
    ]


def _changed(process: Process) -> Iterator[tuple[str, Mode, Mode, int]]:
    """Threads that changed modes: whether another one is told of hangs on how long its forwards took."""
    for thread in process.threads:
        if thread.internal or thread.began != thread.ended:
            yield thread.name, thread.began, thread.ended, thread.internal


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_both_ways_tell_the_same(situation: Callable[[], None], deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if situation is not on_two_threads:
        alone(monkeypatch)
    situation()  # what torch makes once and keeps is no part of it
    before = torch.no_grad.__enter__, torch.set_grad_enabled.__init__
    found = []
    for in_c in (True, False):
        gc.collect()
        with trace(deep=deep) as t:
            assert bool(modules._global_forward_pre_hooks) is not in_c
            situation()
        assert (torch.no_grad.__enter__, torch.set_grad_enabled.__init__) == before
        found.append(told(t))
        monkeypatch.setattr(native.Counter, "swift", lambda counter: None)
    assert found[0] == found[1]


def test_c_goes_on_while_devices_are_looked_for_and_leaves_their_memory_to_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone(monkeypatch)
    in_python: list[int] = []
    enter = Tracer.enter

    def counted(self: Tracer, *given: Any) -> None:
        in_python.append(given[1])
        enter(self, *given)

    monkeypatch.setattr(Tracer, "enter", counted)
    found: list[LiveOnly] = []
    with trace() as t:
        running = session.active()
        assert running is not None
        running.tracer.records.more = lambda: list(found)
        for number in range(6):
            if number == 4:
                found.append(LiveOnly("mps", lambda: 7))
            with torch.no_grad():
                pass
    assert len(in_python) == 3  # of a place that C has not met, and from the device on
    assert [region.peak.get("mps") for region in t.regions] == [None] * 4 + [7, 7]


def test_a_hook_table_of_the_programs_own_is_left_alone() -> None:
    net = model()
    (weight, *_) = net.parameters()
    with trace():
        out = net(torch.ones(2, 8))
        assert out._backward_hooks is None
        handle = out.register_hook(lambda gradient: gradient * 2)
        table = out._backward_hooks
        (doubled,) = torch.autograd.grad(out.sum(), weight, retain_graph=True)
        handle.remove()
        (single,) = torch.autograd.grad(out.sum(), weight)
        assert out._backward_hooks is table
    assert torch.equal(doubled, single * 2)


def test_a_tracer_that_is_gone_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch)
    seen: list[weakref.ref[Tracer]] = []
    net = model()
    for _ in range(3):
        with trace():
            running = session.active()
            assert running is not None
            seen.append(weakref.ref(running.tracer))
            del running
            net(torch.ones(2, 8)).sum().backward()
            modes_of_torch()
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3
    assert not net._forward_hooks
    assert not net._forward_hooks_always_called


@pytest.mark.parametrize("part", ["first", "hang", "enter", "exit", "statement"])
def test_a_fault_of_ours_that_c_meets_is_noted_and_passed_over(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("planted")

    original = Swift.forwards
    if part in {"first", "hang"}:
        monkeypatch.setattr(
            Swift, "forwards", lambda self, tracer, **given: original(self, tracer, **{**given, part: broken})
        )
    else:
        monkeypatch.setattr(Tracer, part, broken)
    net = Pair()
    with trace() as t:
        for _ in range(3):
            with torch.no_grad():
                assert not torch.is_grad_enabled()
                torch._C._set_grad_enabled(True)
            torch.set_grad_enabled(True)
            with contextlib.suppress(ValueError):
                net(torch.ones(2, 8), fail=True)
            net(torch.ones(2, 8))["a"][1].sum().backward()
    notes = t.processes[0].notes
    assert len(notes) == 1
    assert "planted" in notes[0]


WRONG = [("words[CALLS]++;", "words[CALLS] += 2;", "forwards were counted as")]
if sys.version_info < (3, 12):  # later ones tell of modes in another way
    WRONG.append(("put(&SLOT(state, internal)", "put(&SLOT(state, mode)", "changes"))


@pytest.mark.parametrize(("right", "wrong", "why"), WRONG)
def test_hooks_that_are_wrong_are_found_out_in_a_child(
    right: str, wrong: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Path(native.__file__).parent
    for source in here.glob("*.c"):
        text = source.read_text(encoding="utf-8")
        (tmp_path / source.name).write_text(text.replace(right, wrong), encoding="utf-8")
    monkeypatch.setattr(native, "_SOURCE", tmp_path / "counter.c")
    monkeypatch.setattr(native, "_SOURCES", ("counter.c", "forwards.c", "modes.c"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(Unavailable, match=why):
        native.counter(LIBC10)


def test_the_program_may_end_inside_a_forward() -> None:
    text = """
import os, sys, torch
from gradlint.trace import session
from pathlib import Path
import tempfile
session.start(Path(tempfile.mkdtemp()), deep=False)
class Ends(torch.nn.Module):
    def forward(self, x):
        sys.exit(3)
kept = torch.nn.Linear(4, 4)(torch.ones(1, 4))
torch.nn.Sequential(torch.nn.Linear(4, 4), Ends())(torch.ones(1, 4))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


class Watched(OrderedDict[int, Any]):
    """Torch's table of hooks, in which another thread may get ahead once something has been taken out of it."""

    ahead: Callable[[], None] | None = None

    def pop(self, *given: Any, **options: Any) -> Any:
        found = super().pop(*given, **options)
        if self.ahead is not None:
            self.ahead()
        return found


class Slow(nn.Linear):
    """A module whose forward waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.begun.set()
        assert self.go_on.wait(60)
        return super().forward(x)

    def in_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self, args=(torch.ones(1, 2),))
        thread.start()
        assert self.begun.wait(60)
        return thread


def test_a_forward_that_ends_as_the_tracer_goes_leaves_no_hook_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    table, net = Watched(), Slow()
    monkeypatch.setattr(modules, "_global_forward_pre_hooks", table)
    monkeypatch.setattr(hooked, "_before_hooks", table)
    monkeypatch.setattr(Swift, "of", lambda _: None)
    with trace():
        thread = net.in_thread()

        def end_of_the_forward() -> None:
            table.ahead = None
            net.go_on.set()
            thread.join(60)

        table.ahead = end_of_the_forward
    assert not thread.is_alive()
    assert not table
    assert not net._forward_hooks


def test_a_forward_that_outlives_its_tracer_is_told_to_nobody() -> None:
    net = Slow()
    with trace() as first:
        thread = net.in_thread()
        running = session.active()
        assert running is not None
        gone = weakref.ref(running.tracer)
        del running
    with trace() as second:
        net.go_on.set()
        thread.join(60)
    gc.collect()
    assert gone() is None
    assert [sum(line.calls for line in t.lines) for t in (first, second)] == [1, 0]


def test_two_tracers_at_a_time_both_see_forwards() -> None:
    net = model()
    with trace() as outer:
        net(torch.ones(2, 8))
        with trace() as inner, torch.no_grad():
            net(torch.ones(2, 8))
        net(torch.ones(2, 8))
    assert [sum(line.calls for line in t.lines) for t in (outer, inner)] == [3, 1]
    assert [len(t.regions) for t in (outer, inner)] == [1, 1]


def test_torch_is_as_it_was() -> None:
    """Nothing that Python code can see of how modules are called is changed, neither meanwhile nor afterwards."""
    method = nn.Module.__call__, nn.Module._call_impl, nn.Module._call_impl.__code__

    class Traced(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            frame = sys._getframe()
            names: list[str] = []
            while frame.f_back is not None and len(names) < 4:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            assert names == ["forward", "_call_impl", "_wrapped_call_impl", "test_torch_is_as_it_was"]
            assert not modules._global_forward_pre_hooks
            assert not self._forward_hooks
            return x

    net = Traced()
    with trace() as t:
        net(torch.ones(1))
        net.__call__(torch.ones(1))
        assert (nn.Module.__call__, nn.Module._call_impl, nn.Module._call_impl.__code__) == method
    net(torch.ones(1))
    assert sum(line.calls for line in t.lines) == 2
