"""Forwards that Ctrl-C ends, that other threads run at the same time, that are copied in the middle."""

import copy
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from gradlint.trace import Trace, load, trace
from tests.trace.conftest import ROOT

STOPPED = """
import sys
import torch

with torch.no_grad():
    torch.ones(1000)
try:
    print("ready", flush=True)
    sys.stdin.readline()
finally:
    print("cleaned up", flush=True)
"""
HANDLED = """
import sys
import torch

try:
    with torch.no_grad():
        print("ready", flush=True)
        sys.stdin.readline()
except KeyboardInterrupt:
    sys.exit(5)
"""


def interrupted(folder: Path, text: str, *command: str) -> tuple[int, str, str]:
    """Exit status and output of a program that Ctrl-C is pressed on: the terminal sends it to all it has started."""
    (folder / "script.py").write_text(text)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}
    process = subprocess.Popen(
        [sys.executable, *command, "script.py"],
        cwd=folder,
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize(("text", "status"), [(STOPPED, -signal.SIGINT), (HANDLED, 5)])
@pytest.mark.parametrize("options", [(), ("--live",)])
def test_ctrl_c_ends_the_script_as_ever_and_the_report_is_written(
    text: str, status: int, options: tuple[str, ...], tmp_path: Path
) -> None:
    plain = interrupted(tmp_path, text)
    traced = interrupted(tmp_path, text, "-m", "gradlint", "trace", "-o", "out", *options)
    assert plain[:2] == traced[:2]
    assert traced[0] == status
    said, _, report = traced[2].partition("gradlint trace: ")
    assert said.splitlines()[-1:] == plain[2].splitlines()[-1:]  # which line was running is chance
    assert "no_grad 1 time" in report
    assert load(tmp_path / "out").processes[0].complete


class Stoppable(nn.Module):
    """A model whose forward can be stopped as by Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.stop: BaseException | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.linear(x)
        if self.stop is not None:
            raise self.stop
        return y


def calls(t: Trace) -> int:
    return sum(line.calls for line in t.lines)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(3), RuntimeError("mine")])
@pytest.mark.parametrize("deep", [False, True])
def test_forwards_are_seen_after_one_that_was_stopped(stop: BaseException, deep: bool) -> None:
    model, x = Stoppable(), torch.ones(1, 4)
    with trace(deep=deep) as t:
        model.stop = stop
        for _ in range(2):
            with pytest.raises(type(stop)):
                model(x)
            model.stop.__traceback__ = None
        model.stop = None
        model(x)
        model(x).sum().backward()
        assert not model._forward_hooks
    assert calls(t) == 4
    assert sum(line.wasted_calls for line in t.lines) == 1


def test_a_model_can_be_stored_while_ctrl_c_is_handled() -> None:
    model, x, file = Stoppable(), torch.ones(1, 4), io.BytesIO()
    with trace():
        model.stop = KeyboardInterrupt()
        try:
            model(x)
        except KeyboardInterrupt:
            model.stop = None
            torch.save(model, file)
    assert b"gradlint" not in file.getvalue().replace(b"tests.trace", b"")
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert torch.equal(again(x), model(x))


class Copying(nn.Module):
    """A model that copies itself in its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.copies: list[nn.Module] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        copies, self.copies = self.copies, []
        copies += [copy.deepcopy(self), pickle.loads(pickle.dumps(self))]
        self.copies = copies
        y: torch.Tensor = self.linear(x)
        return y


def test_a_model_may_copy_itself_in_its_forward() -> None:
    model, x = Copying(), torch.ones(1, 4)
    with trace() as t:
        y = model(x)
        first, second = model.copies
        assert torch.equal(first(x), y)
        assert torch.equal(second(x), y)
    assert calls(t) == 3


class Meeting(nn.Module):
    """A model whose forward waits until as many threads are in it."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.barrier = threading.Barrier(threads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.barrier.wait(60)
        y: torch.Tensor = self.linear(x)
        self.barrier.wait(60)
        return y


def in_threads(count: int, work: object) -> None:
    assert callable(work)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("deep", [False, True])
def test_threads_that_are_in_the_same_model_at_once(deep: bool) -> None:
    model, x = Meeting(3), torch.ones(1, 4)

    def work() -> None:
        for _ in range(4):
            model(x)
            model(x).sum().backward()

    with trace(deep=deep) as t:
        in_threads(3, work)
        assert not model._forward_hooks
    assert sorted((line.calls, line.wasted_calls) for line in t.lines if line.calls) == [(12, 0), (12, 12)]


@pytest.mark.usefixtures("hasty")
def test_threads_that_begin_and_end_inside_a_forward_of_the_main_one() -> None:
    inner, x = nn.Linear(4, 4), torch.ones(1, 4)

    class Starts(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            in_threads(2, lambda: [inner(x) for _ in range(5)])
            y: torch.Tensor = inner(x)  # a child of this module's forward
            return y

    with trace() as t:
        Starts()(x)
        inner(x)
    assert sorted(line.calls for line in t.lines) == [1, 1, 10]


@pytest.mark.usefixtures("hasty")
def test_an_exception_in_one_thread_while_another_is_in_the_same_model() -> None:
    model, x, seen = Meeting(2), torch.ones(1, 4), []

    def good() -> None:
        model(x)

    def bad() -> None:
        try:
            model(torch.ones(1, 3))
        except RuntimeError as error:
            seen.append(str(error))
            model.barrier.wait(60)

    with trace() as t:
        for _ in range(3):
            running = [threading.Thread(target=target) for target in (good, bad)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
        model.barrier = threading.Barrier(1)
        model(x)
    assert len(seen) == 3
    assert all("cannot be multiplied" in text for text in seen)
    assert calls(t) == 7


def test_hooks_of_the_programs_own_around_a_stopped_forward() -> None:
    model, x = Stoppable(), torch.ones(1, 4)
    seen: list[str] = []
    model.register_forward_pre_hook(lambda module, arguments: seen.append("before"))
    model.register_forward_hook(lambda module, arguments, result: seen.append("after"), always_call=True)
    with trace() as t:
        model.stop = RuntimeError("mine")
        with pytest.raises(RuntimeError, match="mine"):
            model(x)
        model.stop = None
        model(x)
    assert seen == ["before", "after"] * 2
    assert calls(t) == 2
