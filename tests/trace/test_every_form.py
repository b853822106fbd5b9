"""Each way in which a grad mode changes, in the order of what can be seen of it: regions, statements, what C++ does."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import enable_grad, inference_mode, nn, no_grad, set_grad_enabled
from torch.utils.checkpoint import checkpoint

from gradlint.trace import Mode, Trace, trace

GRAD, OFF, INFERENCE = Mode.GRAD, Mode.NO_GRAD, Mode.INFERENCE
_torch_c: Any = vars(torch)["_C"]
_set_early: Callable[[bool], None] = _torch_c._set_grad_enabled
_inference_early: Callable[[bool], Any] = _torch_c._InferenceMode


def seen(t: Trace) -> tuple[list[tuple[str, Mode]], list[tuple[Mode, bool]]]:
    """Regions (what opened them, into which mode) and other changes (into which mode, whether C++ did it)."""
    (process,) = t.processes
    assert all(region.end is not None and region.site.file == __file__ for region in process.regions)
    assert not process.leaks
    regions = [(region.site.what, region.mode) for region in process.regions]
    return regions, [(change.mode, change.implicit) for change in process.changes]


def event() -> None:
    """A place of the program's that the tracer looks at, wherever it stands."""
    with enable_grad():
        pass


EVENT = ("enable_grad", GRAD)


def blocks() -> None:
    with no_grad(), enable_grad(), set_grad_enabled(False), inference_mode():
        pass


def torch_autograd_spellings() -> None:
    with (
        torch.autograd.no_grad(),
        torch.autograd.inference_mode(),
        torch.autograd.set_grad_enabled(True),  # gradlint: ignore[GL315] what is spelt is what counts here
    ):
        pass


def one_object_twice() -> None:
    guard = no_grad()
    for _ in range(2):
        with guard:
            pass


def entered_by_hand() -> None:
    guard = no_grad()
    guard.__enter__()
    guard.__exit__(None, None, None)


def statements() -> None:
    set_grad_enabled(False)
    set_grad_enabled(mode=True)


@no_grad()
def decorated() -> None:
    @inference_mode()
    def inner() -> None: ...

    inner()


class Frozen(torch.nn.Module):
    """Its `forward` is decorated, and called by torch."""

    @no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def decorated_functions_that_torch_calls() -> None:
    module, x = torch.nn.Sequential(Frozen()), torch.ones(2, requires_grad=True)
    module(x)

    @inference_mode()
    def hook(module: torch.nn.Module, arguments: object, result: object) -> None: ...

    module.register_forward_hook(hook)
    module(x)


@no_grad()
def items() -> Iterator[int]:
    yield from (1, 2)


def decorated_generator() -> None:
    assert list(items()) == [1, 2]


def early_bound_c_function() -> None:
    _set_early(False)
    event()
    _set_early(True)
    event()


def early_bound_c_class() -> None:
    guard = _inference_early(True)
    guard.__enter__()
    event()
    guard.__exit__(None, None, None)
    event()


class Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        event()
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        event()
        return gradient


both: Callable[[torch.Tensor], torch.Tensor] = Both.apply


def a_custom_function() -> None:
    y = both(torch.ones(1, requires_grad=True))
    event()
    y.backward()
    event()


def a_tensor_hook() -> None:
    x = torch.ones(1, requires_grad=True)
    x.register_hook(lambda gradient: event())
    x.exp().backward()
    event()


def a_tensor_hook_where_a_graph_is_made() -> None:
    x = torch.ones(1, requires_grad=True)
    x.register_hook(lambda gradient: event())
    torch.autograd.grad(x.exp(), x, create_graph=True)
    event()


def another_thread() -> None:
    with no_grad():
        thread = threading.Thread(target=event)
        thread.start()
        thread.join()


def reentrant_checkpoint() -> None:
    x = torch.ones(1, requires_grad=True)

    def function(x: torch.Tensor) -> torch.Tensor:
        event()
        return x.exp()

    y = checkpoint(function, x, use_reentrant=True)
    assert isinstance(y, torch.Tensor)
    y.backward()


def other_checkpoint() -> None:
    x = torch.ones(1, requires_grad=True)

    def function(x: torch.Tensor) -> torch.Tensor:
        event()
        return x.exp()

    y = checkpoint(function, x, use_reentrant=False)
    assert isinstance(y, torch.Tensor)
    y.backward()


def an_optimizers_closure() -> None:
    weight = nn.Parameter(torch.ones(1))

    def closure() -> float:
        event()
        loss = weight.square().sum()
        loss.backward()
        return float(loss.detach())

    torch.optim.SGD([weight], lr=0.1).step(closure)


def function_transforms() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        with no_grad():
            scale = x * 2
        return (x * scale).sum()

    torch.func.grad(function)(torch.ones(2))
    torch.func.vmap(function)(torch.ones(2, 2))


def noise_of_torch() -> None:
    model = nn.Linear(2, 2)
    model.load_state_dict(model.state_dict())
    model.to(torch.float64)
    nn.init.zeros_(model.weight)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def a_compiled_function() -> None:
    @torch.compile(backend="eager")
    def function(x: torch.Tensor) -> torch.Tensor:
        with no_grad():
            return x * 2

    for _ in range(3):
        function(torch.ones(2))


FORMS: list[tuple[Callable[[], None], list[tuple[str, Mode]], list[tuple[Mode, bool]]]] = [
    (
        blocks,
        [("no_grad", OFF), ("enable_grad", GRAD), ("set_grad_enabled", OFF), ("inference_mode", INFERENCE)],
        [],
    ),
    (
        torch_autograd_spellings,
        [("no_grad", OFF), ("inference_mode", INFERENCE), ("set_grad_enabled", INFERENCE)],
        [],
    ),
    (one_object_twice, [("no_grad", OFF)] * 2, []),
    (entered_by_hand, [("no_grad", OFF)], []),
    (statements, [], [(OFF, False), (GRAD, False)]),
    (decorated, [("no_grad", OFF), ("inference_mode", INFERENCE)], []),
    (
        decorated_functions_that_torch_calls,
        [("no_grad", OFF), ("no_grad", OFF), ("inference_mode", INFERENCE)],
        [],
    ),
    (decorated_generator, [("no_grad", OFF)] * 3, []),
    (early_bound_c_function, [EVENT] * 2, [(OFF, True), (GRAD, True)]),
    (early_bound_c_class, [("enable_grad", INFERENCE), EVENT], [(INFERENCE, True), (GRAD, True)]),
    (a_custom_function, [EVENT] * 4, [(OFF, True), (GRAD, True)] * 2),
    (a_tensor_hook, [EVENT] * 2, [(OFF, True), (GRAD, True)]),
    (a_tensor_hook_where_a_graph_is_made, [EVENT] * 2, []),
    (another_thread, [("no_grad", OFF), EVENT], []),
    (reentrant_checkpoint, [EVENT] * 2, []),
    (other_checkpoint, [EVENT] * 2, []),
    (an_optimizers_closure, [EVENT], []),
    (function_transforms, [("no_grad", OFF)] * 2, []),
    (noise_of_torch, [], []),
    (a_compiled_function, [], []),
]


@pytest.mark.parametrize(("program", "regions", "changes"), FORMS, ids=[form[0].__name__ for form in FORMS])
def test_what_is_seen_of_it(
    program: Callable[[], None], regions: list[tuple[str, Mode]], changes: list[tuple[Mode, bool]]
) -> None:
    with trace() as t:
        program()
    assert seen(t) == (regions, changes)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("program", [noise_of_torch, an_optimizers_closure, reentrant_checkpoint, other_checkpoint])
def test_what_torch_does_for_itself_is_counted(program: Callable[[], None]) -> None:
    with trace() as t:
        program()
    assert sum(thread.internal for process in t.processes for thread in process.threads) > 0
