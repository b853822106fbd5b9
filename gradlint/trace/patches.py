"""Hooks into torch's grad modes: methods replaced and put back, nothing else.

The classes and the C functions stay the ones they are (`torch.export` and `make_fx` compare them by identity), and
each wrapper looks like what it wraps (`torch.jit.script` reads its source).
"""

import asyncio
import functools
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread as futures
from types import FrameType
from typing import Any

import torch

from gradlint.trace.monitoring import watch
from gradlint.trace.places import DECORATED
from gradlint.trace.swift import ENTER, EXIT, MAKE
from gradlint.trace.tasks import number_of
from gradlint.trace.torch_api import hide_from_dynamo
from gradlint.trace.torch_api import is_grad_enabled as enabled
from gradlint.trace.torch_api import is_inference as inference
from gradlint.trace.torch_api import mode as mode_now
from gradlint.trace.tracer import Tracer

Method = Callable[..., Any]
Wrapper = Callable[[Method], Method]


class Patches:
    """Attributes that were replaced, and what they were."""

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []
        self._last: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Method], Method]) -> None:
        """Put ``make(original)`` in the place of an attribute that ``owner`` itself has."""
        original = vars(owner)[name]
        method = original.__func__ if isinstance(original, classmethod) else original
        wrapper = make(method)
        functools.update_wrapper(wrapper, method)
        hide_from_dynamo(wrapper)
        setattr(owner, name, classmethod(wrapper) if isinstance(original, classmethod) else wrapper)
        self._undo.append((owner, name, original))

    def finally_(self, undo: Callable[[], None]) -> None:
        """Have something else undone too."""
        self._last.append(undo)

    def undo(self) -> None:
        """Put everything back, last first."""
        while self._last:
            self._last.pop()()
        while self._undo:
            owner, name, original = self._undo.pop()
            setattr(owner, name, original)


def install(tracer: Tracer) -> Patches:
    """Watch the grad modes."""
    patches = Patches()
    tracer.threads.state.mode = mode_now()
    end = watch(tracer)
    if end is None:
        _wrap(tracer, patches)
    else:
        patches.finally_(end)
    patches.replace(threading.Thread, "_bootstrap_inner", functools.partial(_thread, tracer))
    patches.replace(futures._WorkItem, "run", functools.partial(_job, tracer))
    patches.replace(asyncio.Handle, "_run", functools.partial(_callback, tracer))
    return patches


def _wrap(tracer: Tracer, patches: Patches) -> None:
    """Put the methods of the grad modes into wrappers."""
    enter, leave, make = _wrappers(tracer)
    for owner in (torch.no_grad, torch.enable_grad, torch.set_grad_enabled, torch.inference_mode):
        patches.replace(owner, "__enter__", functools.partial(enter, owner.__name__))
        patches.replace(owner, "__exit__", leave)
    patches.replace(torch.set_grad_enabled, "__init__", make)
    patches.replace(torch.set_grad_enabled, "__call__", functools.partial(_decorate, tracer))


def _wrappers(tracer: Tracer) -> tuple[Callable[[str, Method], Method], Wrapper, Wrapper]:
    """What makes wrappers for entering, leaving and `set_grad_enabled`: of C where that could be compiled."""
    if tracer.records.swift is None:
        return functools.partial(_enter, tracer), functools.partial(_exit, tracer), functools.partial(_make, tracer)
    method = functools.partial(tracer.records.swift.method, tracer.records.swift.tracing(tracer))

    def enter(what: str, original: Method) -> Method:
        return method(ENTER, nests=_nests(original), original=original, what=what, tell=tracer.enter)

    def leave(original: Method) -> Method:
        return method(EXIT, nests=_nests(original), original=original, what="", tell=tracer.exit)

    def make(original: Method) -> Method:
        return method(MAKE, nests=False, original=original, what="", tell=tracer.statement)

    return enter, leave, make


def _enter(tracer: Tracer, what: str, original: Method) -> Method:
    threads, enter, frame_of = tracer.threads, tracer.enter, sys._getframe
    kinds, torchs, closed = tracer.places.kinds, tracer.places.torchs, tracer.places.closed
    nests = _nests(original)

    def __enter__(self: object) -> object:
        state = threads.state
        if state.busy:
            return original(self)
        frame = frame_of(1)
        number = id(frame.f_code)
        if number in torchs or (kinds.get(number) == DECORATED and _for_torch(frame, closed)):
            if nests:
                return original(self)
            result = original(self)
            state.internal += 1
            state.mode = 2 if inference() else 1 if enabled() else 0  # `mode_now`, without the price of calling it
            return result
        state.busy = True
        try:
            before = mode_now()
            result = original(self)
            try:
                enter(state, id(self), before, frame, what)
            except Exception as error:  # noqa: BLE001
                tracer.broke(error)
        finally:
            state.busy = False
        return result

    return __enter__


def _nests(original: Method) -> bool:
    """Whether a method (no_grad's) goes through `set_grad_enabled`, which counts it if it is torch's own."""
    return "set_grad_enabled" in inspect.unwrap(original).__code__.co_names


def _for_torch(frame: FrameType, closed: set[int]) -> bool:
    """Whether a decorated function is called by torch, and surely is one of its own."""
    back = frame.f_back
    return back is not None and id(back.f_code) in closed


def _exit(tracer: Tracer, original: Method) -> Method:
    threads, leave = tracer.threads, tracer.exit
    nests = _nests(original)

    def __exit__(self: object, exc_type: object, exc_value: object, traceback: object) -> object:
        state = threads.state
        if state.busy:
            return original(self, exc_type, exc_value, traceback)
        stack, key = state.stack, id(self)
        if not stack or (stack[-1].key != key and all(region.key != key for region in stack)):
            if nests:
                return original(self, exc_type, exc_value, traceback)
            result = original(self, exc_type, exc_value, traceback)
            state.internal += 1
            state.mode = 2 if inference() else 1 if enabled() else 0  # `mode_now`, without the price of calling it
            return result
        state.busy = True
        try:
            before = mode_now()
            result = original(self, exc_type, exc_value, traceback)
            try:
                leave(state, key, before)
            except Exception as error:  # noqa: BLE001
                tracer.broke(error)
        finally:
            state.busy = False
        return result

    return __exit__


def _make(tracer: Tracer, original: Method) -> Method:
    threads, statement, frame_of, torchs = tracer.threads, tracer.statement, sys._getframe, tracer.places.torchs

    # The argument is named as torch names it: it may be given by name.
    def __init__(self: object, mode: bool) -> None:
        state = threads.state
        if state.busy:
            original(self, mode)
            return
        if id(frame_of(1).f_code) in torchs:
            original(self, mode)
            state.internal += 1
            state.mode = 2 if inference() else 1 if enabled() else 0  # `mode_now`, without the price of calling it
            return
        state.busy = True
        try:
            before = mode_now()
            original(self, mode)
            try:
                statement(state, id(self), before, frame_of(1))
            except Exception as error:  # noqa: BLE001
                tracer.broke(error)
        finally:
            state.busy = False

    return __init__


def _decorate(tracer: Tracer, original: Method) -> Method:
    def __call__(self: object, *args: object, **options: object) -> object:
        result = original(self, *args, **options)
        tracer.undo(id(self))
        return result

    return __call__


def _thread(tracer: Tracer, original: Method) -> Method:
    def _bootstrap_inner(self: threading.Thread) -> None:
        tracer.threads.state.mode = mode_now()
        try:
            original(self)
        finally:
            tracer.thread_ends()

    return _bootstrap_inner


def _job(tracer: Tracer, original: Method) -> Method:
    def run(self: object) -> None:
        before = mode_now()
        original(self)
        tracer.job_ends(before)

    return run


def _callback(tracer: Tracer, original: Method) -> Method:
    threads = tracer.threads

    def _run(self: Any) -> None:
        if threads.state.stack:
            task = getattr(self._callback, "__self__", None)
            if isinstance(task, asyncio.Task):
                tracer.task_runs(number_of(task))
        original(self)

    return _run
