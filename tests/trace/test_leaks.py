"""Grad modes that get out of the code that set them, and code that looks alike and keeps them in."""
# gradlint: ignore-file[GL309, GL310, GL314] the very mistakes

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.trace import Mode, trace
from gradlint.trace.events import Leak

MODEL = nn.Linear(2, 2)


def leaks(program: Callable[[], Any]) -> set[tuple[str, int]]:
    """Kind and line of each leak; grad is on again afterwards."""
    try:
        with trace() as t:
            program()
    finally:
        with torch.inference_mode(False):
            torch.set_grad_enabled(True)
        torch.set_grad_enabled(True)
    assert all(leak.site.file == __file__ for leak in t.leaks)
    return {(leak.kind, leak.site.line) for leak in t.leaks}


def line_with(text: str) -> int:
    with open(__file__, encoding="utf-8") as file:
        (number,) = (n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}"))
    return number


def something() -> None:
    """Code that goes on after the leak: anything that the tracer notices."""
    MODEL(torch.ones(1, 2))
    with torch.enable_grad():
        pass


def switch_off() -> None:
    torch.set_grad_enabled(False)  # statement


def switch_off_and_on() -> None:
    torch.set_grad_enabled(False)
    torch.set_grad_enabled(True)


def switch_off_inside_a_region() -> None:
    with torch.enable_grad():
        torch.set_grad_enabled(False)


def restore_what_was() -> None:
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        something()
    finally:
        torch.set_grad_enabled(before)


def test_a_statement_in_a_function() -> None:
    def program() -> None:
        switch_off()
        something()

    assert leaks(program) == {("statement", line_with("statement"))}


def test_a_statement_in_a_function_that_nothing_follows() -> None:
    assert leaks(switch_off) == {("statement", line_with("statement"))}


class Guard:
    def __enter__(self) -> None:
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)

    def __exit__(self, *details: object) -> None:
        torch.set_grad_enabled(self.before)


def a_context_manager_of_the_programs_own() -> None:
    for _ in range(3):
        with Guard():
            something()


@pytest.mark.parametrize(
    "program", [switch_off_and_on, a_context_manager_of_the_programs_own, switch_off_inside_a_region, restore_what_was]
)
def test_statements_that_are_taken_back(program: Callable[[], None]) -> None:
    def then_something() -> None:
        program()
        something()

    assert leaks(then_something) == set()


def yields_inside() -> Generator[int, None, None]:
    with torch.no_grad():  # generator
        yield 1
        yield 2


@torch.no_grad()
def yields_under_a_decorator() -> Iterator[int]:
    with torch.no_grad():
        torch.ones(1)
    yield 1
    yield 2


@torch.no_grad()
def yields_under_a_decorator_and_inside() -> Iterator[int]:
    with torch.no_grad():
        yield 1
        yield 2


@torch.no_grad()
def yields_inside_several_under_a_decorator() -> Iterator[int]:
    with torch.enable_grad(), torch.no_grad(), guarded():
        yield from yields_under_a_decorator_and_inside()
    yield 3


def yields_outside() -> Iterator[int]:
    for number in range(2):
        with torch.no_grad():
            torch.ones(1)
        yield number


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_a_generator_that_yields_inside() -> None:
    def program() -> None:
        for _ in yields_inside():
            something()

    assert leaks(program) == {("generator", line_with("generator"))}


def test_a_generator_whose_consumer_only_runs_a_forward() -> None:
    def program() -> None:
        for _ in yields_inside():
            MODEL(torch.ones(1, 2))

    assert leaks(program) == {("generator", line_with("generator"))}


KEPT_IN = [
    yields_under_a_decorator,
    yields_under_a_decorator_and_inside,
    yields_inside_several_under_a_decorator,
    yields_outside,
]


@pytest.mark.parametrize("generator", KEPT_IN)
def test_generators_that_do_not(generator: Callable[[], Iterator[int]]) -> None:
    def program() -> None:
        for _ in generator():
            assert torch.is_grad_enabled()
            something()

    assert leaks(program) == set()


@pytest.mark.parametrize("generator", KEPT_IN)
def test_generators_that_do_not_and_are_closed_early(generator: Callable[[], Generator[int, None, None]]) -> None:
    def program() -> None:
        started = generator()
        next(started)
        with torch.no_grad():
            something()
            started.close()
        assert torch.is_grad_enabled()
        something()

    assert leaks(program) == set()


def test_a_region_that_a_decorated_generator_never_leaves() -> None:
    @torch.no_grad()
    def program() -> Iterator[int]:
        torch.enable_grad().__enter__()  # in a decorated generator
        yield 1

    assert leaks(lambda: list(program())) == {("open", line_with("in a decorated generator"))}


def test_a_context_manager_made_of_a_generator() -> None:
    def program() -> None:
        with guarded():
            something()

    assert leaks(program) == set()


def test_a_generator_that_is_closed_later_leaves_its_mode() -> None:
    def program() -> None:
        generator = yields_inside()
        with torch.no_grad():  # outer
            next(generator)
        next(generator)
        generator.close()

    found = leaks(program)
    assert ("overlap", line_with("outer")) in found
    assert {line for _, line in found} <= {line_with("outer"), line_with("generator")}


def test_one_instance_entered_twice() -> None:
    def program() -> None:
        guard = torch.no_grad()
        with guard, guard:  # twice
            pass
        assert not torch.is_grad_enabled()

    assert leaks(program) == {("reentry", line_with("twice"))}


def test_one_instance_used_again() -> None:
    def program() -> None:
        guard = torch.no_grad()
        for _ in range(2):
            with guard:
                pass
        with torch.no_grad(), torch.no_grad():
            pass

    assert leaks(program) == set()


def test_a_recursive_function_under_a_decorator() -> None:
    @torch.no_grad()
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + depth(n - 1)

    assert leaks(lambda: depth(5)) == set()


async def holds(pause: float) -> None:
    with torch.no_grad():  # task
        await asyncio.sleep(pause)


async def holds_nothing(pause: float) -> None:
    with torch.no_grad():
        torch.ones(1)
    await asyncio.sleep(pause)
    MODEL(torch.ones(1, 2))


async def together(*tasks: Any) -> None:
    await asyncio.gather(*tasks)


def test_tasks_that_overlap_in_order_leave_the_mode_off() -> None:
    def program() -> None:
        asyncio.run(together(holds(0.01), holds(0.03)))
        assert not torch.is_grad_enabled()

    found = leaks(program)
    assert {("overlap", line_with("task")), ("task", line_with("task"))} <= found
    assert {line for _, line in found} == {line_with("task")}


def test_a_task_that_waits_inside_while_others_run() -> None:
    assert leaks(lambda: asyncio.run(together(holds(0.03), holds_nothing(0.01)))) == {("task", line_with("task"))}


def test_a_task_that_waits_inside_alone() -> None:
    assert leaks(lambda: asyncio.run(holds(0.01))) == set()


def test_tasks_that_wait_outside() -> None:
    assert leaks(lambda: asyncio.run(together(*(holds_nothing(0.01) for _ in range(4))))) == set()


def test_a_job_that_leaves_its_mode_to_the_next() -> None:
    def program() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(switch_off).result()
            assert pool.submit(torch.is_grad_enabled).result() is False

    assert ("thread", line_with("statement")) in leaks(program)
    assert {line for _, line in leaks(program)} == {line_with("statement")}


def test_jobs_that_clean_up() -> None:
    def program() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: something(), range(8)))
            list(pool.map(lambda _: restore_what_was(), range(8)))

    assert leaks(program) == set()


def test_a_region_that_is_never_left() -> None:
    def program() -> None:
        torch.no_grad().__enter__()  # open

    assert leaks(program) == {("open", line_with("open"))}


def test_an_exit_stack() -> None:
    def program() -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.inference_mode())
            MODEL(torch.ones(1, 2))

    assert leaks(program) == set()


async def async_batches() -> AsyncIterator[int]:
    with torch.no_grad():  # async generator
        yield 1
        yield 2


def test_an_async_generator_that_yields_inside() -> None:
    async def main() -> None:
        async for _ in async_batches():
            something()

    assert ("generator", line_with("async generator")) in leaks(lambda: asyncio.run(main()))


def test_leaks_are_counted() -> None:
    with trace() as t:
        for _ in range(100):
            switch_off()
            torch.set_grad_enabled(True)
    (leak,) = t.leaks
    assert isinstance(leak, Leak)
    assert leak.times == 100
    (thread,) = t.processes[0].threads
    assert (thread.began, thread.ended, thread.left_by) == (Mode.GRAD, Mode.GRAD, None)
