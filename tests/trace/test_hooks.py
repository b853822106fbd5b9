"""What C does in every step is what Python would have done: each situation is traced both ways, and told the same."""

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

from gradlint.trace import Trace, forwards, native, runners, session, torch_api, trace
from gradlint.trace.events import Mode, Process
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

    decorated()


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
    transformed,
]


def told(t: Trace) -> object:
    """All that was counted: whatever is no time. How much the parameters' gradients weigh shows in estimates only."""
    (process,) = t.processes
    return (
        process.notes,
        [(str(line), line.mode, line.calls, line.wasted_calls, line.saved, line.wasted, line.alive, line.most,
          line.growing, line.routes) for line in process.lines],
        [(str(region.site), region.mode, region.before, region.peak.keys()) for region in process.regions],
        [(change.site, change.mode, change.before, change.implicit) for change in process.changes],
        process.leaks,
        sorted(_changed(process)),
    )  # fmt: skip


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
    for kind in ("Before", "method"):
        gc.collect()
        with trace(deep=deep) as t:
            assert type(next(reversed(modules._global_forward_pre_hooks.values()))).__name__ == kind
            situation()
        assert (torch.no_grad.__enter__, torch.set_grad_enabled.__init__) == before
        found.append(told(t))
        monkeypatch.setattr(native.Counter, "swift", lambda counter: None)
    assert found[0] == found[1]


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


def test_other_threads_that_run_no_forwards_leave_it_to_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar has a thread: after some forwards it is known to run none."""
    seen: list[object] = []
    original = Swift.forwards

    def counted(self: Swift, *, counted: bool, **given: Any) -> Any:
        def before(*arguments: object) -> None:
            seen.append(arguments)
            given["before"](*arguments)

        return original(self, counted=counted, **{**given, "before": before})

    monkeypatch.setattr(Swift, "forwards", counted)
    net, bar = model(), threading.Event()
    with trace() as t:
        thread = threading.Thread(target=bar.wait)
        thread.start()
        for _ in range(200):
            net(torch.ones(2, 8))
        bar.set()
        thread.join()
    assert 50 <= len(seen) < 60
    assert sum(line.calls for line in t.lines) == 200


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


def test_a_fault_of_ours_in_c_is_noted_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("planted")

    original = Swift.forwards
    monkeypatch.setattr(
        Swift,
        "forwards",
        lambda self, *, counted, **given: original(self, counted=counted, **{**given, "first": broken}),
    )
    net = model()
    alone(monkeypatch)
    with trace() as t:
        for _ in range(3):
            net(torch.ones(2, 8)).sum().backward()
    (note,) = t.processes[0].notes
    assert "planted" in note


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


@pytest.mark.parametrize("in_c", [True, False])
def test_a_forward_that_ends_as_the_tracer_goes_leaves_no_hook_behind(
    monkeypatch: pytest.MonkeyPatch, in_c: bool
) -> None:
    table = Watched()
    monkeypatch.setattr(modules, "_global_forward_pre_hooks", table)
    monkeypatch.setattr(forwards, "_before_hooks", table)
    if not in_c:
        monkeypatch.setattr(Swift, "of", lambda _: None)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            begun.set()
            assert go_on.wait(60)
            return super().forward(x)

    net = Slow(2, 2)
    with trace():
        thread = threading.Thread(target=net, args=(torch.ones(1, 2),))
        thread.start()
        assert begun.wait(60)

        def end_of_the_forward() -> None:
            table.ahead = None
            go_on.set()
            thread.join(60)

        table.ahead = end_of_the_forward
    assert not thread.is_alive()
    assert not table
    assert not net._forward_hooks
