"""Forwards of root modules: in which mode they run, and whether their graph is ever used.

A root module is one that no other module is just calling. Its call is noticed by a global hook, which steps aside
while the module runs (its children cost nothing) and comes back with a hook on that one instance. On the result's
graph hangs a token: if it dies and no backward has come by, the graph was recorded for nothing.

With several threads the global hook stays, for the others. A forward that Ctrl-C ended runs no hooks; but torch's
frame holds the method that began it, so the method's death tells.
"""

import contextlib
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
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
_running: Any = vars(threading)["_active"]  # asking threading itself how many there are takes a lock


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


class Began(weakref.ref[Callable[..., object]]):
    """The method that began a forward, which torch's frame holds until the forward is over, however it ends."""

    __slots__ = ("module", "state")
    state: ThreadState
    module: torch.nn.Module


class End:
    """One thread's hook on the module whose forward it runs."""

    __slots__ = ("_forwards", "_state", "key")

    def __init__(self, forwards: "Forwards", state: ThreadState) -> None:
        self._forwards = forwards
        self._state = state
        self.key = next(_keys)

    def __call__(self, module: torch.nn.Module, arguments: object, result: object) -> None:
        """The forward is over; ``result`` is None if it raised."""
        self._forwards.over(self._state, self, module, result)

    def __reduce__(self) -> tuple[object, ...]:
        """A model that is copied or stored inside its forward takes along something that does nothing."""
        return getattr, (contextlib.nullcontext(), "__exit__")


class Forwards:
    """Watches calls of root modules. ``counted`` if bytes are counted elsewhere, tensor by tensor."""

    def __init__(self, tracer: Tracer, *, counted: bool) -> None:
        self._tracer = tracer
        self._counted = counted or not tracer.sources[0].countable
        self._live = tracer.sources[0].live
        self._key = next(_keys)
        self._on = False

    def install(self, patches: Patches) -> None:
        """Begin to watch."""
        self._on = True
        patches.replace(modules, "_has_any_global_hook", self._not_ours)
        patches.replace(threading.Thread, "_bootstrap_inner", self._in_thread)
        self._watch()

    def remove(self) -> None:
        """Watch no more."""
        self._on = False
        _before_hooks.pop(self._key, None)

    def _watch(self) -> None:
        if self._on:
            _before_hooks.setdefault(self._key, self._before)

    def _in_thread(self, original: Method) -> Method:
        def _bootstrap_inner(thread: threading.Thread) -> None:
            self._watch()  # the thread that started this one may be in a forward
            original(thread)

        return _bootstrap_inner

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
        self._step_aside(state, module)
        tracer = self._tracer
        places = tracer.places
        row = state.root = tracer.rows.line(places.nearest(frame, "forward"), mode(), places.callers(frame))
        row.call()
        end = state.end = state.end or End(self, state)
        module._forward_hooks[end.key] = end
        module._forward_hooks_always_called[end.key] = True
        state.start = self._live()

    def _step_aside(self, state: ThreadState, module: torch.nn.Module) -> None:
        """Let children be called without us; but other threads go on being watched, by another method."""
        method = _before_hooks.pop(self._key, None)
        if len(_running) > 1:
            self._watch()
        if method is not None:
            began = state.began = Began(method, self._gone)
            began.state, began.module = state, module

    def _gone(self, began: Began) -> None:
        """The frame that began a forward is no more; if no hook has run by now, Ctrl-C or its like has ended it."""
        state, module = began.state, began.module
        if state.began is not began or _inside():
            return
        state.began = state.root = None
        if state.end is not None:
            _unhook(module, state.end.key)
        self._watch()

    def over(self, state: ThreadState, end: End, module: torch.nn.Module, result: object) -> None:
        """A forward that ``state``'s thread runs is over."""
        if state is not self._tracer.threads.state:  # another thread's forward of the same module
            return
        if result is not None or next(reversed(module._forward_hooks)) == end.key:
            _unhook(module, end.key)  # after an exception torch is just walking through the hooks: only the last may go
        began, state.began = state.began, None
        if self._on and self._key not in _before_hooks:
            _before_hooks[self._key] = (began and began()) or self._before
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


def _unhook(module: torch.nn.Module, key: int) -> None:
    module._forward_hooks.pop(key, None)
    module._forward_hooks_always_called.pop(key, None)


def _inside() -> bool:
    """Whether torch has only let go of the method because a hook of the module's own took its place."""
    return sys._getframe(2).f_code.co_name == "inner"


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
