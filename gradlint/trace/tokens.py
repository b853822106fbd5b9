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
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch.nn.modules import module as modules

from gradlint.trace.patches import Method, Patches
from gradlint.trace.rows import GRAPHS, WASTED_CALLS, Row
from gradlint.trace.threads import ThreadState
from gradlint.trace.torch_api import mode, plain
from gradlint.trace.tracer import PAUSE, Tracer

_keys = itertools.count(-1, -1)  # torch numbers hooks from 0 up
_DEPTH = 3  # how deep results are searched for tensors
_before_hooks: Any = modules.__dict__["_global_forward_pre_hooks"]
_clock = time.monotonic_ns
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
        self._key = next(_keys)
        self._on = False
        self._on_gone = self._gone

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
        tracer = self._tracer
        if len(_running) > 1:  # other threads go on being watched, by another method and without a gap
            method = frame.f_locals.get("hook")  # which may not be the one that is there now
            _before_hooks[self._key] = self._before
        else:
            method = _before_hooks.pop(self._key, None)  # children are called without us
        if method is not None:
            state.began, state.module = weakref.ref(method, self._on_gone), module
        places = tracer.places
        row = state.root = tracer.rows.line(places.nearest(frame, "forward"), mode(), places.callers(frame))
        row.call()
        end = state.end
        if end is None:
            end = state.end = End(self, state)
        module._forward_hooks[end.key] = end
        module._forward_hooks_always_called[end.key] = True
        state.start = tracer.live()

    def _gone(self, began: "weakref.ref[Any]") -> None:
        """The frame that began a forward is no more; if no hook has run by now, Ctrl-C or its like has ended it."""
        if sys._getframe(1).f_code.co_name == "inner":  # torch has only let go of it to call a hook of the module's
            return
        state = self._tracer.threads.state
        module = state.module
        if state.began is not began or module is None:
            return
        state.began = state.module = state.root = None
        if state.end is not None:
            _unhook(module, state.end.key)
        self._watch()

    def over(self, state: ThreadState, end: End, module: torch.nn.Module, result: object) -> None:
        """A forward that ``state``'s thread runs is over."""
        if state is not self._tracer.threads.state:  # another thread's forward of the same module
            return
        if result is not None or next(reversed(module._forward_hooks)) == end.key:
            _unhook(module, end.key)  # after an exception torch is just walking through the hooks: only the last may go
        state.began = state.module = None
        if self._on:
            _before_hooks.setdefault(self._key, self._before)
        row, state.root = state.root, None
        if row is None or result is None:
            return
        state.busy = True
        try:
            if _clock() - self._tracer.now > PAUSE:
                self._tracer.forward_ends(state, row.site)
            if not isinstance(result, torch.Tensor):
                self._hang(row, tuple(_tensors(result, _DEPTH)), state.start)
            elif result.grad_fn is not None:
                self._hang(row, (result,), state.start)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def _hang(self, row: Row, results: tuple[torch.Tensor, ...], start: int) -> None:
        """Put a token on what the results came from; what the forward left in use, but for them, the graph holds."""
        token = None
        for result in results:
            graph = result.grad_fn
            if graph is not None:
                token = token or Token(row, 0 if self._counted else self._left(results, start))
                graph.register_prehook(token)

    def _left(self, results: tuple[torch.Tensor, ...], start: int) -> int:
        tracer = self._tracer
        size = tracer.live() - start
        for result in results:
            if result.is_cpu or len(tracer.sources) > 1:
                size -= result.nbytes
        return max(size, 0)


def _unhook(module: torch.nn.Module, key: int) -> None:
    module._forward_hooks.pop(key, None)
    module._forward_hooks_always_called.pop(key, None)


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
