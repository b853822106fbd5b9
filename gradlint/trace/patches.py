"""Hooks into torch's grad modes: methods replaced and put back, nothing else.

The classes and the C functions stay the ones they are (`torch.export` and `make_fx` compare them by identity), and
each wrapper looks like what it wraps (`torch.jit.script` reads its source).
"""

import asyncio
import functools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread as futures
from typing import Any

import torch

from gradlint.trace.monitoring import watch
from gradlint.trace.places import INTERNAL
from gradlint.trace.torch_api import hide_from_dynamo, mode
from gradlint.trace.tracer import Tracer

Method = Callable[..., Any]


class Patches:
    """Attributes that were replaced, and what they were."""

    def __init__(self) -> None:
        self._undo: list[tuple[object, str, object]] = []
        self._last: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Method], Method]) -> None:
        """Put ``make(original)`` in the place of an attribute that ``owner`` itself has."""
        original = vars(owner)[name]
        method = original.__func__ if isinstance(original, classmethod) else original
        wrapper = functools.wraps(method)(make(method))
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
    tracer.threads.state.mode = mode()
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
    for owner in (torch.no_grad, torch.enable_grad, torch.set_grad_enabled, torch.inference_mode):
        patches.replace(owner, "__enter__", functools.partial(_enter, tracer, owner.__name__))
        patches.replace(owner, "__exit__", functools.partial(_exit, tracer))
    patches.replace(torch.set_grad_enabled, "__init__", functools.partial(_make, tracer))
    patches.replace(torch.set_grad_enabled, "__call__", functools.partial(_decorate, tracer))


def _enter(tracer: Tracer, what: str, original: Method) -> Method:
    threads, enter, frame_of, kinds = tracer.threads, tracer.enter, sys._getframe, tracer.places.kinds

    def __enter__(self: object) -> object:
        state = threads.state
        if state.busy:
            return original(self)
        state.busy = True  # no_grad goes through set_grad_enabled
        try:
            frame = frame_of(1)
            if kinds.get(id(frame.f_code)) == INTERNAL:
                result = original(self)
                state.internal += 1
                state.mode = mode()
            else:
                before = mode()
                result = original(self)
                try:
                    enter(state, id(self), before, frame, what)
                except Exception as error:  # noqa: BLE001
                    tracer.broke(error)
        finally:
            state.busy = False
        return result

    return __enter__


def _exit(tracer: Tracer, original: Method) -> Method:
    threads, leave = tracer.threads, tracer.exit

    def __exit__(self: object, *details: object) -> object:
        state = threads.state
        if state.busy:
            return original(self, *details)
        state.busy = True
        try:
            if state.stack:
                before = mode()
                result = original(self, *details)
                try:
                    leave(state, id(self), before)
                except Exception as error:  # noqa: BLE001
                    tracer.broke(error)
            else:
                result = original(self, *details)
                state.internal += 1
                state.mode = mode()
        finally:
            state.busy = False
        return result

    return __exit__


def _make(tracer: Tracer, original: Method) -> Method:
    threads, statement, frame_of, kinds = tracer.threads, tracer.statement, sys._getframe, tracer.places.kinds

    def __init__(self: object, *args: object, **options: object) -> None:
        state = threads.state
        if state.busy:
            original(self, *args, **options)
            return
        state.busy = True
        try:
            frame = frame_of(1)
            if kinds.get(id(frame.f_code)) == INTERNAL and frame.f_code.co_name != "clone":
                original(self, *args, **options)
                state.internal += 1
                state.mode = mode()
            else:
                before = mode()
                original(self, *args, **options)
                try:
                    statement(state, id(self), before, frame)
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
        tracer.threads.state.mode = mode()
        try:
            original(self)
        finally:
            tracer.thread_ends()

    return _bootstrap_inner


def _job(tracer: Tracer, original: Method) -> Method:
    def run(self: object) -> None:
        before = mode()
        original(self)
        tracer.job_ends(before)

    return run


def _callback(tracer: Tracer, original: Method) -> Method:
    threads = tracer.threads

    def _run(self: Any) -> None:
        if threads.state.stack:
            task = getattr(self._callback, "__self__", None)
            if isinstance(task, asyncio.Task):
                tracer.task_runs(id(task))
        original(self)

    return _run
