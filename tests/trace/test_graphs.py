"""Bytes saved for backward and never used, held against what a forward really leaves in memory."""

import gc
import threading
from collections.abc import Callable

import pytest
import torch
from torch import nn

from gradlint.trace import Trace, state, text, trace
from gradlint.trace.events import Line


def mlp() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.GELU(), nn.Linear(512, 8))
    return model, torch.randn(256, 64)


def conv() -> tuple[nn.Module, torch.Tensor]:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 8, 3),
        nn.Flatten(),
    )
    return model, torch.randn(16, 3, 32, 32)


def transformer() -> tuple[nn.Module, torch.Tensor]:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2), torch.randn(8, 32, 64)


class Last(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 64, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.lstm(x)[0]
        return hidden


def lstm() -> tuple[nn.Module, torch.Tensor]:
    return Last(), torch.randn(16, 24, 32)


Make = Callable[[], tuple[nn.Module, torch.Tensor]]
MODELS = [mlp, conv, transformer, lstm]


def left_in_use(model: nn.Module, x: torch.Tensor, *, grad: bool) -> int:
    """Bytes that a forward leaves in use while its result lives."""
    gc.collect()
    before = state().live["cpu"]
    with torch.set_grad_enabled(grad):
        result = model(x)
    after = state().live["cpu"]
    del result
    return after - before


def the_line(t: Trace) -> Line:
    (line,) = (line for line in t.lines if line.saved)
    return line


@pytest.mark.parametrize("make", MODELS)
def test_wasted_bytes_are_the_bytes_that_a_guard_saves(make: Make) -> None:
    model, x = make()
    model(x)  # what is made once and kept (workspaces, flattened weights) is made now
    with trace():
        difference = left_in_use(model, x, grad=True) - left_in_use(model, x, grad=False)
    with trace(deep=True) as t:
        for _ in range(3):
            model(x)
    assert difference > 100_000
    assert t.wasted == pytest.approx(3 * difference, rel=0.01)
    assert t.wasted <= t.saved <= 1.1 * t.wasted  # the input is saved too, but held by the test anyway
    assert (the_line(t).calls, the_line(t).wasted_calls) == (3, 3)


@pytest.mark.parametrize("make", MODELS)
def test_a_cheap_trace_estimates_them(make: Make) -> None:
    model, x = make()
    model(x)
    with trace():
        difference = left_in_use(model, x, grad=True) - left_in_use(model, x, grad=False)
    with trace() as t:
        for _ in range(3):
            model(x)
    assert t.wasted == pytest.approx(3 * difference, rel=0.2)
    assert (the_line(t).calls, the_line(t).wasted_calls) == (3, 3)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("make", MODELS)
def test_training_wastes_nothing(make: Make, deep: bool) -> None:
    model, x = make()
    optimizer = torch.optim.AdamW(model.parameters())
    with trace(deep=deep) as t:
        for _ in range(3):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert (t.wasted, sum(line.wasted_calls for line in t.lines)) == (0, 0)
    assert t.saved > 100_000
    assert all(line.alive == 0 for line in t.lines)


@pytest.mark.parametrize("deep", [False, True])
def test_a_sum_of_losses_is_kept_and_grows(deep: bool) -> None:
    model, x = mlp()
    with trace(deep=deep) as t:
        total = torch.zeros(())
        for _ in range(10):
            total += model(x).mean()
    line = the_line(t)
    assert line.growing
    assert line.alive == pytest.approx(line.most, rel=0.01)
    assert line.alive > 9 * line.saved // 10 > 0
    assert line.wasted == 0
    assert total.requires_grad


@pytest.mark.parametrize("deep", [False, True])
def test_losses_that_are_collected_and_then_used_do_not_count(deep: bool) -> None:
    model, x = mlp()
    with trace(deep=deep) as t:
        for _ in range(2):
            torch.stack([model(x).mean() for _ in range(8)]).sum().backward()
    assert not any(line.growing for line in t.lines)
    assert t.wasted == 0


def test_frozen_models_and_guarded_forwards_save_nothing() -> None:
    model, x = mlp()
    with trace(deep=True) as t:
        with torch.no_grad():
            model(x)
        with torch.inference_mode():
            model(x)
        model.requires_grad_(False)
        model(x)
    assert (t.saved, t.wasted) == (0, 0)
    assert sorted((str(line.mode), line.calls, line.wasted_calls) for line in t.lines) == [
        ("grad", 1, 0),
        ("inference", 1, 0),
        ("no_grad", 1, 0),
    ]


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x * x)
        return x**3

    @staticmethod
    def backward(ctx: torch.autograd.function.BackwardCFunction, gradient: torch.Tensor) -> torch.Tensor:
        (square,) = ctx.saved_tensors
        return 3 * square * gradient


cubed: Callable[[torch.Tensor], torch.Tensor] = Cubed.apply


def test_custom_functions_are_counted() -> None:
    x = torch.randn(1000, requires_grad=True)
    with trace(deep=True) as t:
        cubed(x)
        cubed(x).sum().backward()
    assert (t.saved, t.wasted) == (8000, 4000)


def test_lines_inside_are_named() -> None:
    model, x = lstm()
    with trace(deep=True) as t:
        model(x)  # charged
    line = the_line(t)
    with open(__file__, encoding="utf-8") as file:
        text = file.read().splitlines()
    assert "# charged" in text[line.line - 1]
    assert ["self.lstm(x)" in text[part.site.line - 1] for part in line.inside] == [True]
    assert sum(part.wasted for part in line.inside) == line.wasted


def test_graphs_that_outlive_the_trace_still_work() -> None:
    model, x = mlp()
    with trace(deep=True) as t:
        loss = model(x).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert t.wasted == 0


def test_a_forward_that_raises_is_no_end() -> None:
    model, x = mlp()
    with trace() as t:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cannot be multiplied"):
                model(x[:, :3])
            model(x).sum().backward()
    assert sum(line.calls for line in t.lines) == 4
    assert not model._forward_hooks


@pytest.mark.parametrize("deep", [False, True])
def test_graphs_that_pile_up_inside_a_function_and_go_with_it(deep: bool) -> None:
    model, x = nn.Linear(4, 4), torch.randn(2, 4)  # what it saves is there before the forward: no bytes to estimate

    def evaluate() -> float:
        total = torch.zeros(())
        for _ in range(12):
            total = total + model(x).relu().mean()
        return total.item()

    with trace(deep=deep) as t:
        evaluate()
    (line,) = (line for line in t.lines if line.calls)
    assert line.growing
    assert line.wasted_calls == 12
    assert "Kept alive" in text.report(t)


def test_a_deep_trace_counts_what_another_one_inside_it_counts() -> None:
    model, x = mlp()
    y = torch.randn(1000, requires_grad=True)

    def work() -> None:
        model(x)
        cubed(y)
        cubed(y).sum().backward()

    def in_a_thread() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with trace(deep=True) as alone:
        work()
    with trace(deep=True) as outer:
        work()
        with trace(deep=True) as middle:
            with trace(deep=True) as inner:
                work()
                in_a_thread()
            in_a_thread()
        work()
    assert alone.wasted > 100_000
    assert [t.wasted / alone.wasted for t in (inner, middle, outer)] == [2, 3, 5]
    assert [t.saved / alone.saved for t in (inner, middle, outer)] == [2, 3, 5]
    assert all(line.alive == 0 for t in (inner, middle, outer) for line in t.lines)


def test_a_backward_inside_an_inner_trace_uses_what_was_saved_outside() -> None:
    model, x = mlp()
    with trace(deep=True) as outer:
        before = model(x).sum()
        with trace(deep=True) as inner:
            before.backward()
            within = model(x).sum()
        within.backward()
    assert (inner.wasted, outer.wasted) == (0, 0)
    assert all(line.alive == 0 for line in outer.lines)
