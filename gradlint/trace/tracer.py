"""The collector: what hooks tell is put in order, compared with the mode torch really is in, and logged."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from gradlint.trace import torch_api
from gradlint.trace.events import Mode
from gradlint.trace.kinds import ABSORBS, INHERITED, UNREAD, Kind
from gradlint.trace.leaks import Leaks
from gradlint.trace.memory import Source
from gradlint.trace.places import DECORATED, Places, managed, on_stack
from gradlint.trace.records import Records
from gradlint.trace.rows import Rows
from gradlint.trace.sampling import Sampling
from gradlint.trace.threads import Open, Statement, Threads, ThreadState

_mode, _enabled, _inference = torch_api.mode, torch_api.is_grad_enabled, torch_api.is_inference
# Plain numbers: a member of an enumeration costs more to pack than all else of a record.
_EXIT, _SET, _RESET = int(Kind.EXIT), int(Kind.SET), int(Kind.RESET)
_IMPLICIT, _MARK = int(Kind.IMPLICIT), int(Kind.MARK)
_GENERATOR = 0x20 | 0x200  # CO_GENERATOR, CO_ASYNC_GENERATOR
# A script's mode is meant for all of it, and whoever writes a context manager sets the mode in these.
_MEANT = {"<module>", "__enter__", "__exit__", "__init__", "__aenter__", "__aexit__"}


def _command() -> list[str]:
    """What the process was told to run; of ``-m package.module`` Python knows only ``-m`` while it looks for it."""
    command: list[str] = getattr(sys, "argv", [])
    return sys.orig_argv[1:] if command[:1] == ["-m"] else command


class Tracer:
    """Receives events from hooks and writes the log of this process."""

    def __init__(self, folder: Path, sources: Sequence[Source], *, deep: bool = False) -> None:
        self.deep = deep
        self.records = Records(folder, sources)
        self.places = Places(torch_api.FOLDER)
        self._sites = self.places.numbers
        self.threads = Threads()
        self.leaks = Leaks()
        self.faults = 0
        self.rows = Rows()
        self._sampling = Sampling()
        self._begin()

    def _begin(self) -> None:
        """Begin a log: at the start, and in a child that was forked."""
        self.log = self.records.begin()
        self.internal: dict[str, int] = {}
        self.places.write_to(self.log)
        self.leaks.write_to(self.log)
        self.rows.write_to(self.log)
        self._rank = torch_api.rank()
        self.log.note(
            type="head",
            parent=os.getppid(),
            argv=_command(),
            rank=self._rank,
            deep=self.deep,
            torch=torch_api.VERSION,
            python=sys.version.split()[0],
        )
        self.records.note_devices()

    def enter(self, state: ThreadState, key: int, before: int, frame: FrameType, what: str) -> None:
        """A grad mode object was entered; ``before`` is the mode just before."""
        made, absorbs, code = state.made, 0, frame.f_code
        site = self._sites.get((id(code), frame.f_lasti, what)) or self.places.caller(frame, what)
        if not site:
            state.internal += 1
            state.mode = _mode()
            return
        if made is not None and made.key == key and what == "set_grad_enabled":
            before, absorbs, state.made = made.before, ABSORBS if made.site else 0, None
        elif made is not None or state.statements or state.suspending or before != state.mode:
            self._look(state, before, site)
        after = 2 if _inference() else 1 if _enabled() else 0  # `_mode`, without the price of calling it
        read = self.records.alone or self._sampling.reads(site)
        number = self.records.enter(state, site, after | before << 2 | absorbs | (0 if read else UNREAD), read)
        region = Open(key, number, site, before, state.task)
        region.read = read
        if code.co_flags & _GENERATOR and not managed(frame):
            region.drives = self.places.kinds.get(id(code)) == DECORATED
            region.suspends = code
            state.suspending += 1
        state.stack.append(region)
        state.mode = after
        state.site = site

    def exit(self, state: ThreadState, key: int, before: int) -> None:
        """A grad mode object was left; ``before`` is the mode just before."""
        stack = state.stack
        if stack and stack[-1].key == key and stack[-1].suspends is None:
            region: Open | None = stack.pop()
        else:
            region = self._pop(state, key)
        if region is None:
            state.internal += 1
            state.mode = _mode()
            return
        if state.made is not None or state.statements or state.suspending or before != state.mode:
            self._look(state, before, region.site)
        after = 2 if _inference() else 1 if _enabled() else 0
        self.records.write(state, region.number, after | before << 2, _EXIT, region.read)
        if after != region.before and not any(other.key == key for other in state.stack):
            self.leaks.not_restored(region.site, Mode(region.before), Mode(after))
        while state.statements and state.statements[-1].depth > len(state.stack):
            state.statements.pop()  # the region has put back what they changed
        state.mode = after
        state.site = region.site

    def statement(self, state: ThreadState, key: int, before: int, frame: FrameType) -> None:
        """``set_grad_enabled(...)`` was made; whether as a statement, `enter` or `undo` will tell."""
        site = self.places.caller(frame, "set_grad_enabled")
        after = _mode()
        if state.made is not None:
            self._stands(state, state.made)
        if not site:  # torch's own, or a decorator that makes its region anew for each call
            state.made = Statement(key, 0, (before, after), 0, None)
            state.internal += 1
            state.mode = after
            return
        self._look(state, before, site)
        read = self.records.alone or self._sampling.reads(-site)  # apart from the region that it may be the making of
        self.records.write(state, site, after | before << 2, _SET, read)
        code = frame.f_code if frame.f_code.co_name not in _MEANT else None
        state.made = Statement(key, site, (before, after), len(state.stack), code)
        state.mode, state.site = after, site

    def broke(self, error: Exception) -> None:
        """A fault of ours must not become the program's: it is noted once, with where it happened, and passed over."""
        if not self.faults:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"
            self.log.note(type="note", text=f"a bug in gradlint, please report it: {error!r} at {where}")
        self.faults += 1

    def undo(self, key: int) -> None:
        """The statement was only the making of a decorator: it has been taken back."""
        state = self.threads.state
        made = state.made
        if made is not None and made.key == key and made.site:
            state.made = None
            after = state.mode = _mode()
            self.records.write(state, made.site, after | after << 2, _RESET)

    def forward_begins(self, state: ThreadState) -> None:
        """A root module's forward begins: what should have been put back by now is reported."""
        if state.made is not None:
            self._stands(state, state.made)
        self._settle(state)

    def tell_rank(self) -> None:
        """Note which of several processes that train together this one is, if that has become known."""
        if self._rank is None:
            self._rank = torch_api.rank()
            if self._rank is not None:
                self.log.note(type="rank", rank=self._rank)

    def finish(self) -> None:
        """Say how it ended, and close the log."""
        self.tell_rank()
        state = self.threads.state
        state.busy = True
        self.records.write(state, 0, _mode() * 5, _MARK)
        self._end(state)
        self.leaks.finish()
        for name, count in list(self.internal.items()):  # other threads may just be ending
            self.log.note(type="thread", thread=name, internal=count)
        self.log.note(type="end", time=time.monotonic_ns(), lost=self.log.lost)
        self.records.close()
        state.busy = False

    def thread_ends(self) -> None:
        """The running thread ends."""
        state = self.threads.state
        state.busy = True
        self._end(state)

    def task_runs(self, task: int) -> None:
        """A task is run by the event loop while this thread is in regions: are they all its own?"""
        for region in self.threads.state.stack:
            if region.task not in {0, task} and not region.ran_under:
                region.ran_under = True
                self.leaks.task(region.site)

    def job_ends(self, before: int) -> None:
        """A job of a pool's thread ends; ``before`` is the mode in which it began."""
        state = self.threads.state
        after = _mode()
        if after != before and state.site:
            self.leaks.thread(state.site, Mode(before), Mode(after))

    def _end(self, state: ThreadState) -> None:
        if state.made is not None:
            self._stands(state, state.made)
        self._settle(state)
        for region in state.stack:
            if not region.inherited:
                self.leaks.open(region.site)
        name = threading.current_thread().name
        self.internal[name] = self.internal.get(name, 0) + state.internal
        state.internal = 0

    def out_of_memory(self, text: str) -> None:
        """A device has no room left: say where the program is, and which lines hold most for backward."""
        inside = ", ".join(self.open_regions()) or "no grad mode"
        holding = ", ".join(f"{self.places.text(site)} ({number:,} bytes)" for site, number in self.rows.holding(3))
        self.log.note(type="note", text=f"{text}; inside {inside}; held for backward: {holding or 'nothing known'}")

    def _look(self, state: ThreadState, before: int, site: int) -> None:
        """Compare with what was last seen, and with what should have been put back by now."""
        if before != state.mode:
            if state.mode >= 0:
                self.records.write(state, site, before | state.mode << 2, _IMPLICIT)
            elif state.lane < 0:
                self.records.lane(state)
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
            if region.drives:
                self._park(state, stack[index:])
            elif not region.parked:
                self.leaks.overlap(region.site, [other.site for other in stack[index:]])
        state.suspending -= region.suspends is not None
        return region

    def _park(self, state: ThreadState, regions: list[Open]) -> None:
        """A decorated generator yields inside these: its decorator sets the mode back for whoever consumes it."""
        for region in regions:
            region.parked = True
            if region.suspends is not None:
                region.suspends = None
                state.suspending -= 1

    def memory_now(self) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes in use, and the most so far, by device."""
        state = self.threads.state
        state.busy = True
        try:
            self.records.write(state, 0, _mode() * 5, _MARK)
            return self.records.live_and_peaks()
        finally:
            state.busy = False

    def open_regions(self) -> tuple[str, ...]:
        """The places whose regions this thread is in, outermost first."""
        return tuple(self.places.text(region.site) for region in self.threads.state.stack)

    def forked(self) -> None:
        """This is a child now: begin a log of its own in the same folder, in the state that the fork left."""
        self.log.abandon()
        self._begin()
        state = self.threads.state
        state.lane, state.internal = -1, 0
        for region in state.stack:
            region.inherited = region.read = True
            region.number = self.records.enter(state, region.site, state.mode | region.before << 2 | INHERITED)
