"""Forwards of root modules: in which mode they run, and whether their graph is ever used.

A root module is one that no other module is just calling. Its call is noticed by a global hook, which steps aside
while the module runs (its children cost nothing) and comes back with a hook on that one instance. On the result's
graph hangs a token: if it dies and no backward has come by, the graph was recorded for nothing.
"""

import itertools
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch.nn.modules import module as modules

from gradlint.trace.patches import Method, Patches
from gradlint.trace.rows import GRAPHS, WASTED_CALLS, Row
from gradlint.trace.threads import ThreadState
from gradlint.trace.torch_api import mode, plain
from gradlint.trace.tracer import Tracer

_keys = itertools.count(-1, -1)  # torch numbers hooks from 0 up
_DEPTH = 3  # how deep results are searched for tensors
_before_hooks: Any = modules.__dict__["_global_forward_pre_hooks"]


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


class Forwards:
    """Watches calls of root modules. ``counted`` if bytes are counted elsewhere, tensor by tensor."""

    def __init__(self, tracer: Tracer, *, counted: bool) -> None:
        self._tracer = tracer
        self._counted = counted or not tracer.sources[0].countable
        self._live = tracer.sources[0].live
        self._key = next(_keys)
        self._on = False
        self._hook = self._before

    def install(self, patches: Patches) -> None:
        """Begin to watch."""
        self._on = True
        patches.replace(modules, "_has_any_global_hook", self._not_ours)
        _before_hooks[self._key] = self._hook

    def remove(self) -> None:
        """Watch no more."""
        self._on = False
        _before_hooks.pop(self._key, None)

    def _not_ours(self, original: Method) -> Method:
        def _has_any_global_hook() -> object:
            """What `torch.compile` warns of, without our own hook, which is harmless to it."""
            ours = _before_hooks.pop(self._key, None)
            try:
                return original()
            finally:
                if ours is not None:
                    _before_hooks[self._key] = ours

        return _has_any_global_hook

    def _before(self, module: torch.nn.Module, arguments: object) -> None:
        if not plain():  # compiling, exporting, tracing, transforming: nothing runs for real
            return
        state = self._tracer.threads.state
        if state.busy or state.root is not None:
            return
        state.busy = True
        try:
            self._begins(state, module, sys._getframe(1))
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def _begins(self, state: ThreadState, module: torch.nn.Module, frame: FrameType) -> None:
        tracer = self._tracer
        row = state.root = tracer.rows.line(tracer.places.nearest(frame, "forward"), mode())
        row.call()
        _before_hooks.pop(self._key, None)
        module._forward_hooks[self._key] = self._after
        module._forward_hooks_always_called[self._key] = True
        state.start = self._live()

    def _after(self, module: torch.nn.Module, arguments: object, result: object) -> None:
        module._forward_hooks.pop(self._key, None)
        module._forward_hooks_always_called.pop(self._key, None)
        if self._on:
            _before_hooks[self._key] = self._hook
        state = self._tracer.threads.state
        row, state.root = state.root, None
        if row is None or result is None:
            return
        state.busy = True
        try:
            self._ends(state, row, result)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def _ends(self, state: ThreadState, row: Row, result: object) -> None:
        self._tracer.forward_ends(state, row.site)
        if isinstance(result, torch.Tensor):
            if result.grad_fn is not None:
                self._hang(row, (result,), state.start)
        else:
            self._hang(row, tuple(_tensors(result, _DEPTH)), state.start)

    def _hang(self, row: Row, results: tuple[torch.Tensor, ...], start: int) -> None:
        """Put a token on what the results came from; what the forward left in use, but for them, the graph holds."""
        graphs = [result.grad_fn for result in results if result.grad_fn is not None]
        if not graphs:
            return
        size = 0
        if not self._counted:
            size = self._live() - start
            for result in results:
                if result.is_cpu:
                    size -= result.nbytes
        token = Token(row, max(size, 0))
        for graph in graphs:
            graph.register_prehook(token)


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
