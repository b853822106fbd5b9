"""Values, gradients, warnings, graph breaks and output are the same with and without the tracer, to the bit."""

import contextlib
import io
import warnings
from typing import Any

import pytest
import torch

from gradlint.trace import trace
from tests.trace.programs import PROGRAMS

_EACH_GUARD = "Guards may run slower on Python 3.13.0"  # once for each: a hook that is there is guarded too


def result_of(name: str) -> tuple[Any, str, list[str]]:
    """What a program computes, prints and is warned of, from a fixed start."""
    torch.manual_seed(0)
    out = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(out):
        warnings.simplefilter("always")
        torch.set_warn_always(True)
        try:
            value = PROGRAMS[name]()
        finally:
            torch.set_warn_always(False)
    said = [f"{w.category.__name__}: {str(w.message).split('(Triggered')[0]}" for w in caught]
    return plain(value), out.getvalue(), [text for text in said if _EACH_GUARD not in text]


def plain(value: Any) -> Any:
    """A value in which `==` compares tensors bit by bit, with what autograd knows of them."""
    if isinstance(value, torch.Tensor):
        graph = type(value.grad_fn).__name__ if value.grad_fn is not None else None
        bits = value.detach().contiguous().flatten().view(torch.uint8).tolist()
        return (str(value.dtype), tuple(value.shape), value.requires_grad, graph, bits)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_traced_program_does_the_same(name: str) -> None:
    result_of(name)  # what torch says only once in a process is said now
    expected = result_of(name)
    with trace():
        cheap = result_of(name)
    with trace(deep=True):
        deep = result_of(name)
    again = result_of(name)
    assert cheap == expected
    assert deep == expected
    assert again == expected
