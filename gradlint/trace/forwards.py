"""Forwards of root modules: in which mode they run, and whether their graph is ever used.

A root module is one that no other module is just calling. On the graph of what its forward gives hangs a token: if it
dies and no backward has come by, the graph was recorded for nothing. Calls of modules are seen by C (``forwards.c``),
or by hooks where that could not be compiled (`hooked`).
"""

import threading
from types import FrameType

import torch

from gradlint.trace import compiled, torch_api
from gradlint.trace.hooked import Hooks
from gradlint.trace.patches import Method, Patches
from gradlint.trace.rows import Row
from gradlint.trace.swift import Watch
from gradlint.trace.threads import ThreadState
from gradlint.trace.tokens import hang
from gradlint.trace.torch_api import mode, plain
from gradlint.trace.tracer import Tracer


class Forwards:
    """Watches calls of root modules. ``counted`` if bytes are counted elsewhere, tensor by tensor."""

    def __init__(self, tracer: Tracer, *, counted: bool) -> None:
        self._tracer = tracer
        self._counted = counted or not tracer.records.sources[0].countable
        self._on = False
        self._compiled: set[int] = set()  # threads that run compiled code just now
        self._swift = self._in_c()
        self._hooks: Hooks | None = None

    def _in_c(self) -> Watch | None:
        """What sees calls of modules in C, and does in the ordinary case what `begins`, `ends` and `hang` do."""
        tracer = self._tracer
        if tracer.records.swift is None:
            return None
        return tracer.records.swift.forwards(
            tracer,
            counted=self._counted,
            call=torch_api.module_call,
            flags=torch_api.flags,
            is_compiling=torch_api.is_compiling,
            tracing_now=torch_api.tracing,
            transforming=torch_api.transforming,
            modes=torch_api.modes,
            unreal=torch_api.unreal,
            ways=tracer.rows.ways,
            begins=tracer.forward_begins,
            first=self._first,
            ended=tracer.records.forward,
            hang=hang,
            tensor=torch.Tensor,
        )

    def install(self, patches: Patches) -> None:
        """Begin to watch."""
        self._on = True
        patches.replace(threading.Thread, "_bootstrap_inner", self._in_thread)
        compiled.watch(patches, self._tracer.threads, self)
        if self._swift is None or not self._swift.start():
            self._hooks = Hooks(self._tracer, self, self._compiled)
            self._hooks.install(patches)

    def remove(self) -> None:
        """Watch no more."""
        self._on = False
        if self._swift is not None:
            self._swift.stop()
        if self._hooks is not None:
            self._hooks.remove()

    def _in_thread(self, original: Method) -> Method:
        def _bootstrap_inner(thread: threading.Thread) -> None:
            if self._hooks is not None:
                self._hooks.thread_starts()
            try:
                original(thread)
            finally:
                self._compiled.discard(threading.get_ident())

        return _bootstrap_inner

    def begins(self, state: ThreadState, frame: FrameType) -> None:
        """A forward begins, called by this frame's line of the program."""
        if state.suspending or state.statements or state.made is not None:
            self._tracer.forward_begins(state)
        way = (mode(), *self._tracer.places.way(frame))
        row = state.root = self._tracer.rows.ways.get(way) or self._first(way, way[0], frame)
        row.call()

    def ends(self, state: ThreadState, result: object) -> None:
        """A forward has given its result, or None if it raised."""
        row, state.root = state.root, None
        if row is None or result is None:
            return
        state.busy = True
        try:
            self._tracer.records.forward(state, row.site)
            hang(self._tracer.records, row, result, None if self._counted else state.start)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def compiled_begins(self, state: ThreadState, frame: FrameType | None) -> None:
        """A compiled function is about to be called, by this frame of torch's."""
        if not self._on:
            return
        self._compiled.add(threading.get_ident())
        if self._hooks is not None:
            self._hooks.step_aside()
        if frame is None or state.busy or state.root is not None or not plain():
            return
        state.busy = True
        try:
            self.begins(state, frame)
            state.start, state.compiled = self._tracer.records.live(), id(frame)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
        finally:
            state.busy = False

    def compiled_ends(self, state: ThreadState, frame: FrameType) -> None:
        """Nothing is compiled from here on: perhaps because the function that this frame called is over."""
        self._compiled.discard(threading.get_ident())
        if state.compiled == id(frame):
            state.compiled = 0
            self.ends(state, frame.f_locals.get("result"))
        if self._hooks is not None:
            self._hooks.come_back(state)

    def _first(self, way: object, mode: int, frame: FrameType) -> Row:
        """The row of a forward whose way has not been gone before."""
        self._tracer.tell_rank()  # a group is made before its processes' first forwards, and unmade before they end
        places, rows = self._tracer.places, self._tracer.rows
        row = rows.ways[way] = rows.line(places.nearest(frame, "forward"), mode, places.callers(frame))
        return row
