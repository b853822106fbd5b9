"""Calls of root modules seen by hooks of torch's, where C cannot see them.

A global hook notices a call, steps aside while the module runs (its children cost nothing), and comes back with a hook
on that one instance. With several threads that run forwards the global hook stays, for the others; but while any of
them runs compiled code it is away, or dynamo would compile once more, which a program may have forbidden. A forward
that Ctrl-C ended runs no hooks; but torch's frame holds the method that began it, so the method's death tells.
"""

import contextlib
import itertools
import sys
import weakref
from types import FrameType
from typing import Any, Protocol

import torch
from torch.nn.modules import module as modules

from gradlint.trace import runners
from gradlint.trace.patches import Method, Patches
from gradlint.trace.threads import ThreadState
from gradlint.trace.torch_api import is_compiling, unreal
from gradlint.trace.tracer import Tracer

_keys = itertools.count(-1, -1)  # torch numbers hooks from 0 up
_UNSEEN = "while one thread ran compiled code, forwards of other threads were not watched"
_before_hooks: Any = modules.__dict__["_global_forward_pre_hooks"]


class Watcher(Protocol):
    """Who wants to know."""

    def begins(self, state: ThreadState, frame: FrameType) -> None:
        """A forward begins, called by this frame's line of the program."""

    def ends(self, state: ThreadState, result: object) -> None:
        """A forward has given its result, or None if it raised."""


class End:
    """One thread's hook on the module whose forward it runs."""

    __slots__ = ("_hooks", "_state", "key")

    def __init__(self, hooks: "Hooks", state: ThreadState) -> None:
        self._hooks = hooks
        self._state = state
        self.key = next(_keys)

    def __call__(self, module: torch.nn.Module, arguments: object, result: object) -> None:
        """The forward is over; ``result`` is None if it raised."""
        self._hooks.over(self._state, self, module, result)

    def __reduce__(self) -> tuple[object, ...]:
        """A model that is copied or stored inside its forward takes along something that does nothing."""
        return getattr, (contextlib.nullcontext(), "__exit__")


class Hooks:
    """The hooks; ``compiled`` are the threads that run compiled code just now."""

    def __init__(self, tracer: Tracer, watcher: Watcher, compiled: set[int]) -> None:
        self._tracer = tracer
        self._watcher = watcher
        self._compiled = compiled
        self._key = next(_keys)
        self._on = False
        self._on_gone = self._gone
        self._runners = runners.Runners()
        self._noted = False

    def install(self, patches: Patches) -> None:
        """Begin to watch."""
        self._on = True
        patches.replace(modules, "_has_any_global_hook", self._not_ours)
        self._watch()

    def remove(self) -> None:
        """Watch no more."""
        self._on = False
        _before_hooks.pop(self._key, None)  # last: until then other threads may put it back

    def thread_starts(self) -> None:
        """The running thread starts; the one that started it may be in a forward."""
        self._runners.one_more()
        self._watch()

    def step_aside(self) -> None:
        """This thread is about to run compiled code."""
        _before_hooks.pop(self._key, None)
        if not self._noted and len(runners.RUNNING) > 1 and self._runners.known():
            self._noted = True
            self._tracer.log.note(type="note", text=_UNSEEN)

    def come_back(self, state: ThreadState) -> None:
        """This thread runs compiled code no more."""
        if state.root is None or (len(runners.RUNNING) > 1 and self._runners.known()):
            self._watch()

    def _watch(self) -> None:
        if self._on and not self._compiled and self._key not in _before_hooks:
            self._put(self._before)

    def _put(self, hook: Any) -> None:
        """Have torch call this before forwards, unless another thread has just removed us."""
        _before_hooks[self._key] = hook
        if not self._on:
            _before_hooks.pop(self._key, None)

    def _not_ours(self, original: Method) -> Method:
        def _has_any_global_hook() -> object:
            """What `torch.compile` warns of, without our own hook, which is harmless to it."""
            ours = _before_hooks.pop(self._key, None)
            try:
                return original()
            finally:
                if ours is not None:
                    self._put(ours)

        return _has_any_global_hook

    def _before(self, module: torch.nn.Module, arguments: object) -> None:
        if is_compiling():  # asked first: all else would end up in what is compiled
            return
        state = self._tracer.threads.state
        if state.busy or state.root is not None or unreal():
            return  # exporting, tracing, transforming: nothing runs for real
        state.busy = True
        try:
            frame = sys._getframe(1)
            if len(runners.RUNNING) > 1 and self._runners.several():  # they go on being watched, without a gap
                method = frame.f_locals.get("hook")  # which may not be the one that is there now
                if not self._compiled:
                    self._put(self._before)
            else:
                method = _before_hooks.pop(self._key, None)  # children are called without us
            if method is not None:
                state.began, state.module = weakref.ref(method, self._on_gone), module
            self._watcher.begins(state, frame)
            end = state.end
            if end is None:
                end = state.end = End(self, state)
            module._forward_hooks[end.key] = end
            module._forward_hooks_always_called[end.key] = True
            state.start = self._tracer.records.live()
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def _gone(self, began: "weakref.ref[Any]") -> None:
        """The frame that began a forward is no more; if no hook has run by now, Ctrl-C or its like has ended it."""
        back = sys._getframe().f_back  # None as the program ends
        if back is not None and back.f_code.co_name == "inner":
            return  # torch has only let go of it to call a hook of the module's
        state = self._tracer.threads.state
        module = state.module
        if state.began is not began or module is None:  # the forward is over, or another one is meant
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
        self._watch()
        self._watcher.ends(state, result)


def _unhook(module: torch.nn.Module, key: int) -> None:
    module._forward_hooks.pop(key, None)
    module._forward_hooks_always_called.pop(key, None)
