"""What each record of the log says beside the transition: when, how much memory by device, on which thread and task."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gradlint.trace import torch_api
from gradlint.trace.kinds import Kind
from gradlint.trace.log import ENTERED, LAST, MOST, Log, Recorder
from gradlint.trace.memory import Source
from gradlint.trace.swift import Swift
from gradlint.trace.tasks import current_task, running_loop, task_name
from gradlint.trace.threads import ThreadState

_mode, _clock, _loop = torch_api.mode, time.monotonic_ns, running_loop
_ENTER, _DEVICE, _FORWARD = int(Kind.ENTER), int(Kind.DEVICE), int(Kind.FORWARD)
# ns: forwards that follow each other faster share a record; those that reach no new height for longer.
PAUSE, LONG = 5_000_000, 20_000_000


def _nothing() -> None:
    return None


class Records:
    """Writes the log of this process; ``sources`` measure memory, the first one the CPU's."""

    __slots__ = ("__dict__", "alone", "lock", "log", "more")  # the others where C finds them

    def __init__(self, folder: Path, sources: Sequence[Source]) -> None:
        self._folder = folder
        self.more: Callable[[], list[Source]] | None = None  # finds devices that the program begins to use
        self._measure(sources)

    def use(self, sources: Sequence[Source]) -> None:
        """Measure memory with these from now on."""
        self._measure(sources)
        self.log.record_with(self._recorder)

    def _measure(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        self._cpu = self.sources[0].take
        self._recorder: Recorder | None = getattr(self.sources[0], "recorder", None)
        self.swift: Swift | None = getattr(self.sources[0], "swift", _nothing)()
        self._count()

    def _count(self) -> None:
        """There are as many devices now."""
        self._others = range(1, len(self.sources))
        self.alone = not self._others  # nothing but the CPU is measured
        self.live = self.sources[0].live if not self._others else self._live_everywhere

    def _live_everywhere(self) -> int:
        """Bytes of tensors in use on all devices together."""
        return sum(source.live() for source in self.sources)

    def begin(self) -> Log:
        """Begin a log: at the start, and in a child that was forked."""
        wall, monotonic = time.time_ns(), time.monotonic_ns()
        self.log = Log(self._folder, f"{os.getpid()}-{monotonic}", wall, monotonic)
        self.log.record_with(self._recorder)
        self.lock = threading.Lock()  # so that peaks and numbers of regions stand in the order of the records
        self._peaks = [0] * len(self.sources)  # of devices; the first, the CPU's, is the log's to keep
        self._lanes: dict[tuple[int, int], int] = {}
        return self.log

    def close(self) -> None:
        """Close the log; what comes later is dropped."""
        with self.lock:
            self.log.close()

    def write(self, state: ThreadState, site: int, modes: int, kind: int, read: bool = True) -> None:
        """Append a record, for all devices if they are to be read."""
        with self.lock:
            self._write(state, site, modes, kind, read)

    def enter(self, state: ThreadState, site: int, modes: int, read: bool = True) -> int:
        """Append the record of a region that is entered, and number it."""
        with self.lock:
            words = self.log.words
            number = words[ENTERED]
            words[ENTERED] = number + 1
            self._write(state, site, modes, _ENTER, read)
        return number

    def forward(self, state: ThreadState, site: int) -> None:
        """A root module's forward ends, which changes no mode; but if nothing was written of late, memory is."""
        words = self.log.words
        quiet = _clock() - words[LAST]
        if quiet > LONG or (quiet > PAUSE and (self._others or self.sources[0].most() > words[MOST])):
            self.write(state, site, _mode() * 5, _FORWARD)

    def discover(self) -> None:
        """See whether the program has begun to use devices, as every record does that is not made in C."""
        with self.lock:
            if self.more is not None:
                self._add(self.more())

    def live_and_peaks(self) -> tuple[dict[str, int], dict[str, int]]:
        """Bytes in use now, and the most in any record, by device."""
        live = {source.name: source.live() for source in self.sources}
        peaks = self.log.words[MOST], *self._peaks[1:]
        return live, {source.name: peak for source, peak in zip(self.sources, peaks, strict=True)}

    def lane(self, state: ThreadState) -> int:
        """The number of this thread and asyncio task."""
        task = current_task()
        key = (threading.get_ident(), task)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = len(self._lanes)
            self.log.note(type="lane", id=lane, thread=threading.current_thread().name, task=task_name(task))
        state.lane, state.task = lane, task
        return lane

    def _write(self, state: ThreadState, site: int, modes: int, kind: int, read: bool) -> None:
        if self.more is not None:
            self._add(self.more())
        lane = state.lane
        if lane < 0 or ((state.task or _loop() is not None) and current_task() != state.task):
            lane = self.lane(state)
        log = self.log
        for number in self._others if read else ():  # before the event, so that the region which it ends is still open
            live, peak = self.sources[number].take()
            log.record(_clock(), live, peak, number, lane, modes, _DEVICE)
            self._peaks[number] = max(peak, self._peaks[number])
        swift = log.swift
        if swift is not None and swift(site, lane, modes, kind):
            return
        live, peak = self._cpu()
        log.record(_clock(), live, peak, site, lane, modes, kind)
        if peak > log.words[MOST]:
            log.words[MOST] = peak

    def _add(self, found: Sequence[Source]) -> None:
        """Measure devices too that the program has begun to use; devices are found all at once."""
        if not found:
            return
        self.more = None
        for source in found:
            self._note_device(len(self.sources), source)
            self.sources.append(source)
            self._peaks.append(0)
        self._count()

    def note_devices(self) -> None:
        """Say in the log what is measured."""
        for number, source in enumerate(self.sources):
            self._note_device(number, source)

    def _note_device(self, number: int, source: Source) -> None:
        self.log.note(type="device", id=number, name=source.name, source=source.label, exact=source.exact)
