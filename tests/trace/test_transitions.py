"""Every way to change a grad mode that Python can see, and the line it stands on."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.trace import Mode, Trace, state, trace

HERE = __file__


def regions(t: Trace) -> list[tuple[str, Mode]]:
    assert all(region.end is not None for region in t.regions)
    assert all(region.site.file == HERE for region in t.regions)
    return [(region.site.what, region.mode) for region in t.regions]


def line_with(text: str) -> int:
    """The number of the one line of this file that ends in a comment."""
    with open(HERE, encoding="utf-8") as file:
        (number,) = (n for n, line in enumerate(file, 1) if line.rstrip().endswith(f" {text}") and "#" in line)
    return number


def lines(t: Trace) -> list[int]:
    return [region.site.line for region in t.regions]


def test_with_statements() -> None:
    with trace() as t:
        with torch.no_grad():  # one
            pass
        with torch.inference_mode(), torch.enable_grad():  # gradlint: ignore[GL315] two
            pass
        with torch.set_grad_enabled(False), torch.set_grad_enabled(True):  # three
            pass
    assert regions(t) == [
        ("no_grad", Mode.NO_GRAD),
        ("inference_mode", Mode.INFERENCE),
        ("enable_grad", Mode.INFERENCE),
        ("set_grad_enabled", Mode.NO_GRAD),
        ("set_grad_enabled", Mode.GRAD),
    ]
    assert lines(t) == [line_with(word) for word in ("one", "two", "two", "three", "three")]
    assert [region.before for region in t.regions] == [
        Mode.GRAD,
        Mode.GRAD,
        Mode.INFERENCE,
        Mode.GRAD,
        Mode.NO_GRAD,
    ]
    assert not t.leaks
    assert not any(process.changes for process in t.processes)


def test_the_mode_given_by_name() -> None:
    with trace() as t, torch.set_grad_enabled(mode=False), torch.inference_mode(mode=False):
        assert torch.is_grad_enabled()  # "not inference" is grad, whatever was on before
    assert regions(t) == [("set_grad_enabled", Mode.NO_GRAD), ("inference_mode", Mode.GRAD)]


uncalled: Callable[[Callable[[], bool]], Any] = vars(torch)["no_grad"]


@torch.no_grad()
def called_form() -> bool:
    return torch.is_grad_enabled()


@uncalled
def bare_form() -> bool:
    return torch.is_grad_enabled()


@torch.set_grad_enabled(False)
def with_a_mode() -> bool:
    return torch.is_grad_enabled()


@torch.inference_mode()
def generator() -> Iterator[bool]:
    yield torch.is_grad_enabled()
    yield torch.is_grad_enabled()


@pytest.mark.parametrize("function", [called_form, bare_form, with_a_mode])
def test_a_decorated_function_stands_for_itself(function: FunctionType) -> None:
    with trace() as t:
        assert not function()
        assert torch.is_grad_enabled()
    (region,) = t.regions
    assert (region.site.function, region.mode, region.before) == (function.__name__, Mode.NO_GRAD, Mode.GRAD)
    assert region.site.decorator
    assert not t.leaks


def test_a_decorated_generator_is_in_the_mode_only_while_it_runs() -> None:
    with trace() as t:
        for enabled in generator():
            assert not enabled
            assert torch.is_grad_enabled()
    assert [region.site.function for region in t.regions] == ["generator"] * 3
    assert not t.leaks


def test_decorating_changes_nothing_yet() -> None:
    with trace() as t:

        @torch.set_grad_enabled(False)
        def decorated() -> None: ...

        assert torch.is_grad_enabled()
    assert t.regions == []
    assert not any(process.changes for process in t.processes)


def test_a_statement_is_a_change_and_no_region() -> None:
    with trace() as t:
        torch.set_grad_enabled(False)  # off
        torch.set_grad_enabled(True)
    assert t.regions == []
    (process,) = t.processes
    assert [(change.mode, change.implicit) for change in process.changes] == [
        (Mode.NO_GRAD, False),
        (Mode.GRAD, False),
    ]
    assert process.changes[0].site.line == line_with("off")


class Negated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():  # inside
            return -x

    @staticmethod
    def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
        return -grad


negated: Callable[[torch.Tensor], torch.Tensor] = Negated.apply


def test_a_change_that_cpp_made_is_seen_at_the_next_event() -> None:
    with trace() as t:
        with torch.no_grad():
            pass
        negated(torch.ones(1, requires_grad=True))
        with torch.no_grad():
            pass
    (process,) = t.processes
    assert [(change.mode, change.implicit) for change in process.changes] == [(Mode.NO_GRAD, True), (Mode.GRAD, True)]
    assert process.changes[0].site.line == line_with("inside")


def test_what_torch_does_for_itself_is_counted_not_listed() -> None:
    with trace() as t:
        model = nn.Linear(4, 4)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(1, 4)).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert t.regions == []
    (process,) = t.processes
    assert process.changes == []
    assert sum(thread.internal for thread in process.threads) >= 8


def test_threads_have_modes_of_their_own() -> None:
    seen = []

    def work() -> None:
        seen.append(torch.is_grad_enabled())
        with torch.inference_mode():
            pass

    with trace() as t, torch.no_grad():
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
    assert seen == [True]
    assert [(r.thread, r.mode, r.before) for r in t.regions] == [
        ("MainThread", Mode.NO_GRAD, Mode.GRAD),
        ("worker", Mode.INFERENCE, Mode.GRAD),
    ]
    assert not t.leaks


def test_tasks_that_follow_each_other_are_told_apart() -> None:
    """They lie at the same address, one after the other."""

    async def work() -> None:
        with torch.no_grad():
            await asyncio.sleep(0)  # gradlint: ignore[GL310] nobody else waits

    async def main() -> None:
        for number in range(5):
            await asyncio.create_task(work(), name=f"job {number}")

    with trace() as t:
        asyncio.run(main())
    assert [region.task for region in t.regions] == [f"job {number}" for number in range(5)]


def test_tasks_are_named() -> None:
    async def work() -> None:
        with torch.no_grad():
            pass

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(work(), name="a"), asyncio.create_task(work(), name="b"))

    with trace() as t:
        asyncio.run(main())
    assert [region.task for region in t.regions] == ["a", "b"]


def test_a_removed_tracer_leaves_nothing() -> None:
    watched = (torch.no_grad, torch.enable_grad, torch.set_grad_enabled, torch.inference_mode, threading.Thread)
    before = [dict(vars(owner)) for owner in watched]
    with trace():
        assert dict(vars(threading.Thread)) != before[-1]
    assert [dict(vars(owner)) for owner in watched] == before


def test_the_present_state() -> None:
    with trace(), torch.no_grad():  # now
        kept = torch.ones(1000)
        now = state()
    assert (now.mode, now.grad_enabled, now.inference_mode) == (Mode.NO_GRAD, False, False)
    assert now.regions == (f"{HERE}:{line_with('now')}",)
    assert now.live["cpu"] >= kept.nbytes
    assert state().regions == ()


def test_an_exception_passes_and_the_region_ends() -> None:
    with trace() as t, pytest.raises(ZeroDivisionError), torch.no_grad():
        raise ZeroDivisionError
    assert len(regions(t)) == 1
    assert torch.is_grad_enabled()
