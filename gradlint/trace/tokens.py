"""What hangs on the graph of a forward's result, and tells what becomes of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from gradlint.trace.records import Records
from gradlint.trace.rows import GRAPHS, WASTED_CALLS, Row

_DEPTH = 3  # how deep results are searched for tensors


class Token:
    """Hangs on a graph; ``size`` is what the graph holds as far as known."""

    __slots__ = ("row", "size", "used")

    def __init__(self, row: Row, size: int) -> None:
        self.row = row
        self.size = size
        self.used = False
        row.words[GRAPHS] += 1
        if size:
            row.save(size)

    def __call__(self, gradients: object) -> None:
        """A backward comes by: what the graph holds is used, and then freed."""
        if not self.used:
            self.used = True
            self.row.words[GRAPHS] -= 1
            if self.size:
                self.row.free(self.size, 0)

    def __del__(self) -> None:
        if not self.used:
            self.row.words[GRAPHS] -= 1
            self.row.words[WASTED_CALLS] += 1
            if self.size:
                self.row.free(self.size, self.size)


def hang(records: Records, row: Row, result: object, start: int | None) -> None:
    """Put a token on what a forward's result came from.

    What it left in use since there were ``start`` bytes, but for its result, the graph holds; ``start`` is None if
    bytes are counted elsewhere.
    """
    if isinstance(result, torch.Tensor):
        graph = result.grad_fn
        if graph is not None:
            size = 0
            if start is not None:  # as `_left` does, without the price of calling it
                size = records.live() - start
                if result.is_cpu or len(records.sources) > 1:
                    size -= result.nbytes
            fasten(graph, result, Token(row, size if size > 0 else 0))
        return
    token, results = None, tuple(_tensors(result, _DEPTH))
    for tensor in results:
        graph = tensor.grad_fn
        if graph is not None:
            token = token or Token(row, 0 if start is None else _left(records, results, start))
            graph.register_prehook(token)


def fasten(graph: Any, result: torch.Tensor, token: Token) -> None:
    """Have a token be called when a gradient of ``result`` is known, and die with the graph.

    `Tensor.register_hook` does this at twice the price, because its hooks can be removed. The tensor holds the table of
    hooks only while torch notes it: what the program registers comes into a table of its own.
    """
    if result._backward_hooks is None and hasattr(graph, "_register_hook_dict"):
        result._backward_hooks = {0: token}
        try:
            graph._register_hook_dict(result)
        finally:
            result._backward_hooks = None
    else:
        graph.register_prehook(token)


def _left(records: Records, results: Sequence[torch.Tensor], start: int) -> int:
    size = records.live() - start
    for result in results:
        if result.is_cpu or len(records.sources) > 1:
            size -= result.nbytes
    return size if size > 0 else 0


def _tensors(value: object, depth: int) -> Iterator[torch.Tensor]:
    """The tensors in a module's result."""
    if isinstance(value, torch.Tensor):
        yield value
    elif depth and isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part, depth - 1)
    elif depth and isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part, depth - 1)
