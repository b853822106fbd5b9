"""Forwards of root modules: in which mode they run, and whether their graph is ever used.

A root module is one that no other module is just calling. Its call is noticed by a global hook, which steps aside
while the module runs (its children cost nothing) and comes back with a hook on that one instance. On the result's
graph hangs a token: if it dies and no backward has come by, the graph was recorded for nothing.

With several threads that run forwards the global hook stays, for the others; but while any of them runs compiled code
it is away, or dynamo would compile once more, which a program may have forbidden. A forward that Ctrl-C ended runs no
hooks; but torch's frame holds the method that began it, so the method's death tells.
"""

import contextlib
import itertools
import sys
import threading
import weakref
from types import FrameType
from typing import Any

import torch
from torch.nn.modules import module as modules

from gradlint.trace import compiled, runners, torch_api
from gradlint.trace.patches import Method, Patches
from gradlint.trace.rows import Row
from gradlint.trace.swift import Watch
from gradlint.trace.threads import ThreadState
from gradlint.trace.tokens import hang
from gradlint.trace.torch_api import is_compiling, mode, plain, unreal
from gradlint.trace.tracer import Tracer

_keys = itertools.count(-1, -1)  # torch numbers hooks from 0 up
_UNSEEN = "while one thread ran compiled code, forwards of other threads were not watched"
_before_hooks: Any = modules.__dict__["_global_forward_pre_hooks"]


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
        self._runners = runners.Runners()
        self._compiled: set[int] = set()  # threads that run compiled code just now
        self._noted = False
        self._swift = self._in_c()

    def _in_c(self) -> Watch | None:
        """What does in C what `_before`, `End` and `hang` do, in the ordinary case, if it could be compiled."""
        tracer = self._tracer
        if tracer.swift is None:
            return None
        return tracer.swift.forwards(
            counted=self._counted,
            key=self._key,
            hooks=_before_hooks,
            running=runners.RUNNING,
            compiled=self._compiled,
            threads=tracer.threads,
            tracer=tracer,
            ways=tracer.rows.ways,
            tensor=torch.Tensor,
            before=self._before,
            over=self.over,
            gone=self._lost,
            first=self._first,
            ended=tracer.forward_ends,
            hang=hang,
            new_end=self._end,
            kind=tracer.places.kind,
            alone=self._runners.alone,
            broke=tracer.broke,
            is_compiling=is_compiling,
            tracing=torch_api.tracing,
            transforming=torch_api.transforming,
            modes=torch_api.modes,
            inference=torch_api.is_inference,
            enabled=torch_api.is_grad_enabled,
        )

    def install(self, patches: Patches) -> None:
        """Begin to watch."""
        self._on = True
        patches.replace(modules, "_has_any_global_hook", self._not_ours)
        patches.replace(threading.Thread, "_bootstrap_inner", self._in_thread)
        compiled.watch(patches, self._tracer.threads, self)
        self._watch()

    def remove(self) -> None:
        """Watch no more."""
        self._on = False
        if self._swift is not None:
            self._swift.stop()
        _before_hooks.pop(self._key, None)  # last: until then other threads may put it back

    def _watch(self) -> None:
        if self._on and not self._compiled and self._key not in _before_hooks:
            self._put(self._hook())

    def _put(self, hook: Any) -> None:
        """Have torch call this before forwards, unless another thread has just removed us."""
        _before_hooks[self._key] = hook
        if not self._on:
            _before_hooks.pop(self._key, None)

    def _hook(self) -> Any:
        return self._before if self._swift is None else self._swift.hook()

    def _end(self) -> Any:
        """A hook for the modules whose forwards the running thread runs."""
        return End(self, self._tracer.threads.state) if self._swift is None else self._swift.end(next(_keys))

    def _in_thread(self, original: Method) -> Method:
        def _bootstrap_inner(thread: threading.Thread) -> None:
            self._runners.one_more()
            self._watch()  # the thread that started this one may be in a forward
            try:
                original(thread)
            finally:
                self._compiled.discard(threading.get_ident())

        return _bootstrap_inner

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
        try:  # all in one function: it runs when caches are cold, and then a call costs microseconds
            frame = sys._getframe(1)
            if len(runners.RUNNING) > 1 and self._runners.several():  # they go on being watched, without a gap
                method = frame.f_locals.get("hook")  # which may not be the one that is there now
                if not self._compiled:
                    self._put(self._hook())
            else:
                method = _before_hooks.pop(self._key, None)  # children are called without us
            if method is not None:
                state.began, state.module = weakref.ref(method, self._on_gone), module
            self._starts(state, frame)
            end = state.end
            if end is None:
                end = state.end = self._end()
            key = end.key
            module._forward_hooks[key] = end
            module._forward_hooks_always_called[key] = True
            state.start = self._tracer.live()
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def _starts(self, state: ThreadState, frame: FrameType) -> None:
        """A forward begins, called by this frame's line of the program."""
        if state.suspending or state.statements or state.made is not None:
            self._tracer.forward_begins(state)
        way = (mode(), *self._tracer.places.way(frame))
        row = state.root = self._tracer.rows.ways.get(way) or self._first(way, way[0], frame)
        row.call()

    def compiled_begins(self, state: ThreadState, frame: FrameType | None) -> None:
        """A compiled function is about to be called, by this frame of torch's."""
        if not self._on:
            return
        self._compiled.add(threading.get_ident())
        _before_hooks.pop(self._key, None)
        if not self._noted and len(runners.RUNNING) > 1 and self._runners.known():
            self._noted = True
            self._tracer.log.note(type="note", text=_UNSEEN)
        if frame is None or state.busy or state.root is not None or not plain():
            return
        state.busy = True
        try:
            self._starts(state, frame)
            state.start, state.compiled = self._tracer.live(), id(frame)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def compiled_ends(self, state: ThreadState, frame: FrameType) -> None:
        """Nothing is compiled from here on: perhaps because the function that this frame called is over."""
        self._compiled.discard(threading.get_ident())
        if state.compiled == id(frame):
            state.compiled = 0
            self._ends(state, frame.f_locals.get("result"))
        if state.root is None or (len(runners.RUNNING) > 1 and self._runners.known()):
            self._watch()

    def _first(self, way: object, mode: int, frame: FrameType) -> Row:
        """The row of a forward whose way has not been gone before."""
        self._tracer.tell_rank()  # a group is made before its processes' first forwards, and unmade before they end
        places, rows = self._tracer.places, self._tracer.rows
        row = rows.ways[way] = rows.line(places.nearest(frame, "forward"), mode, places.callers(frame))
        return row

    def _gone(self, began: "weakref.ref[Any]") -> None:
        """The frame that began a forward is no more; if no hook has run by now, Ctrl-C or its like has ended it."""
        back = sys._getframe().f_back  # None as the program ends
        if back is not None and back.f_code.co_name == "inner":
            return  # torch has only let go of it to call a hook of the module's
        self._lost(began)

    def _lost(self, began: object) -> None:
        """What began a forward is no more, and the forward is not over; unless another one is meant."""
        state = self._tracer.threads.state
        module = state.module
        if state.began is None or state.began != began or module is None:
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
        self._ends(state, result)

    def _ends(self, state: ThreadState, result: object) -> None:
        """A forward has given its result, or None if it raised."""
        row, state.root = state.root, None
        if row is None or result is None:
            return
        state.busy = True
        try:
            self._tracer.forward_ends(state, row.site)
            hang(self._tracer, row, result, None if self._counted else state.start)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False


def _unhook(module: torch.nn.Module, key: int) -> None:
    module._forward_hooks.pop(key, None)
    module._forward_hooks_always_called.pop(key, None)
