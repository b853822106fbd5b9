"""The collector: what hooks tell is put in order, compared with the mode torch really is in, and logged."""

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType

from gradlint.trace import torch_api
from gradlint.trace.events import ABSORBS, Kind, Mode
from gradlint.trace.leaks import Leaks
from gradlint.trace.log import Log
from gradlint.trace.memory import Source
from gradlint.trace.places import Places, managed, on_stack
from gradlint.trace.rows import Row, Rows
from gradlint.trace.tasks import current_task, task_name

_GENERATOR = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR


# A script's mode is meant for all of it, and whoever writes a context manager sets the mode in these.
_MEANT = {"<module>", "__enter__", "__exit__", "__init__", "__aenter__", "__aexit__"}


class Open:
    """A region that a thread is in: which object opened it, from which mode, as which entry of the log."""

    __slots__ = ("before", "key", "number", "ran_under", "site", "suspends", "task")

    def __init__(self, key: int, number: int, site: int, before: int, task: int, suspends: CodeType | None) -> None:
        self.key = key
        self.number = number
        self.site = site
        self.before = before
        self.task = task
        self.suspends = suspends
        self.ran_under = False


class Statement:
    """A mode set by a statement, until something sets it back: by which code (None if it may stay), from and
    to which mode, how deep."""

    __slots__ = ("after", "before", "code", "depth", "key", "site")

    def __init__(self, key: int, site: int, modes: tuple[int, int], depth: int, code: CodeType | None) -> None:
        self.key = key
        self.site = site
        self.before, self.after = modes
        self.depth = depth
        self.code = code


class ThreadState(threading.local):
    """What is known of the running thread."""

    def __init__(self) -> None:
        self.busy = False
        self.mode = -1
        self.lane = -1
        self.task = 0
        self.stack: list[Open] = []
        self.made: Statement | None = None  # perhaps only the making of a region or a decorator
        self.statements: list[Statement] = []
        self.site = 0
        self.internal = 0
        self.suspending = 0
        self.root: Row | None = None  # the line whose forward runs just now
        self.start = 0  # bytes in use when it began


class Tracer:
    """Receives events from hooks and writes the log of this process."""

    def __init__(self, folder: Path, sources: Sequence[Source], *, deep: bool = False) -> None:
        self.folder, self.deep = folder, deep
        self.sources = list(sources)
        self._cpu = self.sources[0].take
        self.places = Places(torch_api.FOLDER)
        self.threads = ThreadState()
        self.leaks = Leaks()
        self.rows = Rows()
        self._begin()

    def _begin(self) -> None:
        """Begin a log: at the start, and in a child that was forked."""
        wall, monotonic = time.time_ns(), time.monotonic_ns()
        self.log = Log(self.folder, f"{os.getpid()}-{monotonic}", wall, monotonic)
        self.internal: dict[str, int] = {}
        self.peaks = [0] * len(self.sources)
        self._lock = threading.Lock()
        self._lanes: dict[tuple[int, int], int] = {}
        self._entered = 0
        self.places.write_to(self.log)
        self.leaks.write_to(self.log)
        self.rows.write_to(self.log)
        rank = os.environ.get("RANK")
        self.log.note(
            type="head",
            parent=os.getppid(),
            argv=sys.argv if hasattr(sys, "argv") else [],
            rank=int(rank) if rank and rank.isdigit() else None,
            deep=self.deep,
            torch=torch_api.VERSION,
            python=sys.version.split()[0],
        )
        for number, source in enumerate(self.sources):
            self.log.note(type="device", id=number, name=source.name, source=source.label, exact=source.exact)

    def enter(self, key: int, before: int, frame: FrameType, what: str) -> None:
        """A grad mode object was entered; ``before`` is the mode just before."""
        state = self.threads
        state.busy = True
        try:
            site, made, absorbs = self.places.caller(frame, what), state.made, 0
            if not site:
                state.internal += 1
                state.mode = torch_api.mode()
                return
            if made is not None and made.key == key and what == "set_grad_enabled":
                before, absorbs, state.made = made.before, ABSORBS if made.site else 0, None
            else:
                self._look(state, before, site)
            after = torch_api.mode()
            suspends = frame.f_code if frame.f_code.co_flags & _GENERATOR and not managed(frame) else None
            state.suspending += suspends is not None
            with self._lock:
                number = self._entered
                self._entered += 1
                self._write(state, site, after | before << 2 | absorbs, Kind.ENTER)
            state.stack.append(Open(key, number, site, before, state.task, suspends))
            state.mode, state.site = after, site
        finally:
            state.busy = False

    def exit(self, key: int, before: int) -> None:
        """A grad mode object was left; ``before`` is the mode just before."""
        state = self.threads
        state.busy = True
        try:
            region = self._pop(state, key)
            if region is None:
                state.internal += 1
                state.mode = torch_api.mode()
                return
            self._look(state, before, region.site)
            after = torch_api.mode()
            with self._lock:
                self._write(state, region.number, after | before << 2, Kind.EXIT)
            if after != region.before and not any(other.key == key for other in state.stack):
                self.leaks.not_restored(region.site, Mode(region.before), Mode(after))
            while state.statements and state.statements[-1].depth > len(state.stack):
                state.statements.pop()  # the region has put back what they changed
            state.mode, state.site = after, region.site
        finally:
            state.busy = False

    def statement(self, key: int, before: int, frame: FrameType) -> None:
        """``set_grad_enabled(...)`` was made; whether as a statement, `enter` or `undo` will tell."""
        state = self.threads
        state.busy = True
        try:
            site = self.places.caller(frame, "set_grad_enabled")
            after = torch_api.mode()
            if state.made is not None:
                self._stands(state, state.made)
            if not site:  # torch's own, or a decorator that makes its region anew for each call
                state.made = Statement(key, 0, (before, after), 0, None)
                state.internal += 1
                state.mode = after
                return
            self._look(state, before, site)
            with self._lock:
                self._write(state, site, after | before << 2, Kind.SET)
            code = frame.f_code if frame.f_code.co_name not in _MEANT else None
            state.made = Statement(key, site, (before, after), len(state.stack), code)
            state.mode, state.site = after, site
        finally:
            state.busy = False

    def undo(self, key: int) -> None:
        """The statement was only the making of a decorator: it has been taken back."""
        state = self.threads
        made = state.made
        if made is not None and made.key == key and made.site:
            state.made = None
            after = state.mode = torch_api.mode()
            with self._lock:
                self._write(state, made.site, after | after << 2, Kind.RESET)

    def seen(self, site: int, kind: int) -> None:
        """Something happened that changes no mode."""
        state = self.threads
        with self._lock:
            self._write(state, site, torch_api.mode() * 5, kind)

    def finish(self) -> None:
        """Say how it ended, and close the log."""
        state = self.threads
        state.busy = True
        with self._lock:
            self._write(state, 0, torch_api.mode() * 5, Kind.MARK)
        self._end(state)
        self.leaks.finish()
        for name, count in self.internal.items():
            self.log.note(type="thread", thread=name, internal=count)
        self.log.note(type="end", time=time.monotonic_ns(), lost=self.log.lost)
        with self._lock:
            self.log.close()
        state.busy = False

    def thread_ends(self) -> None:
        """The running thread ends."""
        self.threads.busy = True
        self._end(self.threads)

    def task_runs(self, task: int) -> None:
        """A task is run by the event loop while this thread is in regions: are they all its own?"""
        for region in self.threads.stack:
            if region.task not in {0, task} and not region.ran_under:
                region.ran_under = True
                self.leaks.task(region.site)

    def job_ends(self, before: int) -> None:
        """A job of a pool's thread ends; ``before`` is the mode in which it began."""
        state = self.threads
        after = torch_api.mode()
        if after != before and state.site:
            self.leaks.thread(state.site, Mode(before), Mode(after))

    def _end(self, state: ThreadState) -> None:
        if state.made is not None:
            self._stands(state, state.made)
        self._settle(state)
        for region in state.stack:
            self.leaks.open(region.site)
        name = threading.current_thread().name
        self.internal[name] = self.internal.get(name, 0) + state.internal
        state.internal = 0

    def _write(self, state: ThreadState, site: int, modes: int, kind: int) -> None:
        """Append a record for all devices; the lock is held, so that peaks and records stand in the same order."""
        lane = state.lane
        if lane < 0 or current_task() != state.task:
            lane = self._lane(state)
        now = time.monotonic_ns()
        live, peak = self._cpu()
        self.log.record(now, live, peak, site, lane, modes, kind)
        if peak > self.peaks[0]:
            self.peaks[0] = peak
        for number in range(1, len(self.sources)):
            live, peak = self.sources[number].take()
            self.log.record(now, live, peak, number, lane, modes, Kind.DEVICE)
            self.peaks[number] = max(peak, self.peaks[number])

    def _lane(self, state: ThreadState) -> int:
        """The number of this thread and asyncio task."""
        task = current_task()
        key = (threading.get_ident(), task)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = len(self._lanes)
            self.log.note(type="lane", id=lane, thread=threading.current_thread().name, task=task_name(task))
        state.lane, state.task = lane, task
        return lane

    def _look(self, state: ThreadState, before: int, site: int) -> None:
        """Compare with what was last seen, and with what should have been put back by now."""
        if before != state.mode:
            if state.mode >= 0:
                with self._lock:
                    self._write(state, site, before | state.mode << 2, Kind.IMPLICIT)
            elif state.lane < 0:
                self._lane(state)
            state.mode = before
        if state.made is not None:
            self._stands(state, state.made)
        if state.statements or state.suspending:
            self._settle(state)

    def _stands(self, state: ThreadState, made: Statement) -> None:
        """It really was a statement: it sets back what one before it set, or has to be set back itself."""
        state.made = None
        if not made.site:
            return
        if state.statements and state.statements[-1].before == made.after:
            state.statements.pop()
        elif made.after != made.before:
            state.statements.append(made)

    def _settle(self, state: ThreadState) -> None:
        """Report modes that outlived the function that set them, and regions of generators that are suspended."""
        for made in state.statements:
            if made.code is not None and not on_stack(made.code):
                made.code = None  # said once; whoever sets it back later mends it
                self.leaks.statement(made.site, Mode(made.before), Mode(made.after))
        for region in state.stack:
            if region.suspends is not None and not on_stack(region.suspends):
                self.leaks.generator(region.site)

    def _pop(self, state: ThreadState, key: int) -> Open | None:
        stack = state.stack
        if stack and stack[-1].key == key:
            region = stack.pop()
        else:
            index = next((i for i in range(len(stack) - 1, -1, -1) if stack[i].key == key), None)
            if index is None:
                return None
            region = stack.pop(index)
            self.leaks.overlap(region.site, [other.site for other in stack[index:]])
        state.suspending -= region.suspends is not None
        return region

    def memory_now(self) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes in use, and the most so far, by device."""
        state = self.threads
        state.busy = True
        try:
            with self._lock:
                self._write(state, 0, torch_api.mode() * 5, Kind.MARK)
            live = {source.name: source.live() for source in self.sources}
        finally:
            state.busy = False
        return live, {source.name: peak for source, peak in zip(self.sources, self.peaks, strict=True)}

    def open_regions(self) -> tuple[str, ...]:
        """The places whose regions this thread is in, outermost first."""
        return tuple(self.places.text(region.site) for region in self.threads.stack)

    def forked(self) -> None:
        """This is a child now: begin a log of its own in the same folder, in the state that the fork left."""
        self.log.abandon()
        self._begin()
        state = self.threads
        state.lane, state.internal = -1, 0
        for region in state.stack:
            region.number = self._entered
            self._entered += 1
            self._write(state, region.site, state.mode | region.before << 2, Kind.ENTER)
