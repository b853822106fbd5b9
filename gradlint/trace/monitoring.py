"""Grad modes watched through `sys.monitoring`, from Python 3.12 on: nothing of torch's is replaced.

Python itself tells when the methods of torch's grad modes start and return. Where there is no `sys.monitoring`, or all
of its places are taken, `patches` wraps the methods instead.
"""

import functools
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch

from gradlint.trace.places import INTERNAL, THROUGH, Places
from gradlint.trace.swift import DECORATE, ENTER, EXIT, MAKE
from gradlint.trace.torch_api import mode
from gradlint.trace.tracer import Tracer

Undo = Callable[[], None]
monitoring: Any = getattr(sys, "monitoring", None)
PLACES = (3, 4)  # those of its six that no kind of tool is meant to have
_Callback = Callable[..., None]


def watch(tracer: Tracer) -> Undo | None:
    """Watch the grad modes; how to end it, or None if it cannot be done here."""
    place = _place()
    if place is None:
        return None
    codes, events = list(_codes()), monitoring.events
    started, returned = _callbacks(tracer, codes)
    monitoring.register_callback(place, events.PY_START, started)
    monitoring.register_callback(place, events.PY_RETURN, returned)
    for code, role, _ in codes:
        both = events.PY_RETURN if role == DECORATE else events.PY_START | events.PY_RETURN
        monitoring.set_local_events(place, code, both)

    def undo() -> None:
        for code, _, _ in codes:
            monitoring.set_local_events(place, code, 0)
        for event in (events.PY_START, events.PY_RETURN):
            monitoring.register_callback(place, event, None)
        monitoring.free_tool_id(place)

    return undo


def _place() -> int | None:
    if monitoring is None:
        return None
    for place in PLACES:
        if monitoring.get_tool(place) is None:
            monitoring.use_tool_id(place, "gradlint")
            return place
    return None


def _codes() -> list[tuple[CodeType, int, str]]:
    """The methods' code, what is to be done at their return, and whose they are."""
    found = []
    for owner in (torch.no_grad, torch.enable_grad, torch.set_grad_enabled, torch.inference_mode):
        found.append((owner.__enter__.__code__, ENTER, owner.__name__))
        found.append((owner.__exit__.__code__, EXIT, owner.__name__))
    found.append((torch.set_grad_enabled.__init__.__code__, MAKE, ""))
    found.append((torch.set_grad_enabled.__call__.__code__, DECORATE, ""))
    return found


def _callbacks(tracer: Tracer, codes: list[tuple[CodeType, int, str]]) -> tuple[_Callback, _Callback]:
    """What is called when one of them starts and returns: of C where that could be compiled."""
    swift = tracer.records.swift
    if swift is None:
        roles = {id(code): (role, what) for code, role, what in codes}
        return _started(tracer, roles), _returned(tracer, roles)
    tell = {ENTER: tracer.enter, EXIT: tracer.exit, MAKE: tracer.statement, DECORATE: tracer.undo}
    method = functools.partial(swift.method, swift.tracing(tracer), nests=False)
    return swift.watch([method(role, original=code, what=what, tell=tell[role]) for code, role, what in codes])


def _started(tracer: Tracer, roles: dict[int, tuple[int, str]]) -> Callable[[CodeType, int], None]:
    threads, frame_of, kinds = tracer.threads, sys._getframe, tracer.places.kinds

    def started(code: CodeType, offset: int) -> None:
        """What was on before; of methods that call each other (no_grad is a set_grad_enabled) only the first counts."""
        state = threads.state
        if state.busy:
            return
        caller = frame_of(1).f_back
        if caller is None or (state.watched is not None and _called_by(caller, state.watched, tracer.places)):
            return  # one that is watched but did not call this one has raised: it is passed over
        state.watched = code
        if roles[id(code)][0] == EXIT:
            state.before = mode() if state.stack else -1
        elif kinds.get(id(caller.f_code)) == INTERNAL and caller.f_code.co_name != "clone":
            state.before = -1
        else:
            state.before = mode()

    return started


def _called_by(frame: FrameType | None, code: CodeType, places: Places) -> bool:
    """Whether a frame runs that code, or is a wrapper which another tracer has put between."""
    while frame is not None and frame.f_code is not code:
        if places.kind(frame.f_code) != THROUGH:
            return False
        frame = frame.f_back
    return frame is not None


def _returned(tracer: Tracer, roles: dict[int, tuple[int, str]]) -> Callable[[CodeType, int, object], None]:
    threads, frame_of = tracer.threads, sys._getframe

    def returned(code: CodeType, offset: int, result: object) -> None:
        state = threads.state
        if state.busy:
            return
        role, what = roles[id(code)]
        if code is state.watched:
            state.watched = None
            if state.before < 0:  # torch's own
                state.internal += 1
                state.mode = mode()
                return
        elif role != DECORATE:
            return
        state.busy = True
        try:
            _tell(role, what, frame_of(1))
        except Exception as error:  # noqa: BLE001
            tracer.broke(error)
        finally:
            state.busy = False

    def _tell(role: int, what: str, frame: FrameType) -> None:
        state, key, caller = threads.state, id(frame.f_locals["self"]), frame.f_back
        if role == EXIT:
            tracer.exit(state, key, state.before)
        elif role == DECORATE:
            tracer.undo(key)
        elif caller is not None and role == ENTER:
            tracer.enter(state, key, state.before, caller, what)
        elif caller is not None:
            tracer.statement(state, key, state.before, caller)

    return returned
