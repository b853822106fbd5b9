"""What a trace holds: places in code, regions, lines, leaks, threads, processes. Knows nothing of torch.

Times are nanoseconds of the machine's monotonic clock, which all its processes share; sizes are bytes.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


class TraceError(Exception):
    """A trace that cannot be read, and why."""


class Mode(enum.IntEnum):
    """What a thread records. Inference mode counts as such whatever the grad mode inside it."""

    NO_GRAD = 0
    GRAD = 1
    INFERENCE = 2

    def __str__(self) -> str:
        return ("no_grad", "grad", "inference")[self]


LITTLE = 1 << 24  # bytes that a process may come to use before it is worth a word


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """A line of the program. ``what`` is what stands there (``no_grad`` ...); ``decorator`` if above a function."""

    file: str
    line: int
    function: str
    what: str
    decorator: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Device:
    """Memory of one device: the most bytes that were in use, and what measured them.

    ``exact`` is false where the true peak may have been higher than what was seen.
    """

    name: str
    source: str
    exact: bool
    peak: int
    at: Site | None


@dataclass(frozen=True, slots=True)
class Region:
    """One stay in a grad mode; ``end`` is None if it was never left.

    ``peak`` is the most memory in use at any time inside, by device, whoever used it; ``entered`` what was in use
    at the start. ``task`` is the asyncio task, or empty. ``inherited`` if this process was forked inside of it.
    ``unread`` if memory of devices other than the CPU was not read as it began and ended, as in most regions of a line
    that opens very many: what ``peak`` says of them is then what was seen, at least, or missing.
    """

    site: Site
    mode: Mode
    before: Mode
    thread: str
    task: str
    start: int
    end: int | None
    entered: dict[str, int]
    peak: dict[str, int]
    inherited: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A change of mode that is not a region: a statement, or one that C++ made."""

    site: Site
    mode: Mode
    before: Mode
    thread: str
    time: int
    implicit: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of one device at a moment, the most since the moment before, and the mode of the thread that looked."""

    time: int
    device: str
    live: int
    peak: int
    thread: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Part:
    """What a line inside saved (and wasted) of what its caller is charged with."""

    site: Site
    saved: int
    wasted: int


@dataclass(frozen=True, slots=True)
class Route:
    """Of a line's figures, those of the forwards that it ran when these lines, innermost first, had led to it."""

    callers: tuple[Site, ...]
    saved: int
    wasted: int
    calls: int
    wasted_calls: int
    alive: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of the program recorded for backward: the outermost that called into torch, such as `model(x)`.

    ``saved`` counts every byte saved, ``wasted`` those freed without any backward having used them, both over the
    whole run; ``alive`` is what was still held at the end, ``most`` the most ever held at once. In a trace that is not
    deep they are estimates. ``calls`` counts the modules' forwards that it ran in this mode, ``wasted_calls`` those
    whose graph was dropped unused. ``growing`` if more was held from call to call; ``inside`` are the innermost
    lines of the program that saved (deep only). ``routes`` tell the forwards apart by the lines that led here; of a
    line with several of them ``most`` may count what was held at different times.
    """

    file: str
    line: int
    function: str
    mode: Mode
    saved: int
    wasted: int
    calls: int
    wasted_calls: int
    alive: int = 0
    most: int = 0
    growing: bool = False
    inside: tuple[Part, ...] = ()
    routes: tuple[Route, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Leak:
    """A grad mode that got out of the code that set it: where it was set, how it got out, how often.

    ``kind`` is ``statement``, ``generator``, ``overlap`` (left in another order than entered), ``reentry``,
    ``task`` (held across an await while other tasks ran), ``thread`` (left to the next job of a pool's thread) or
    ``open`` (never left).
    """

    kind: str
    site: Site
    message: str
    times: int


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread that changed grad modes: how it ended, and the last line that changed it if not as it began."""

    name: str
    began: Mode
    ended: Mode
    left_by: Site | None
    internal: int


@dataclass(slots=True)
class Process:
    """What one process of the run recorded."""

    pid: int
    parent: int
    rank: int | None
    argv: list[str]
    start: int
    end: int
    deep: bool
    complete: bool
    devices: list[Device] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How reports call it: its rank if it has one."""
        return f"rank {self.rank}" if self.rank is not None else f"process {self.pid}"

    @property
    def idle(self) -> bool:
        """Whether there is nothing to tell, as of most workers that load data."""
        told = self.lines or self.changes or self.leaks or self.notes
        left = any(thread.internal or thread.ended != thread.began for thread in self.threads)
        if told or left or not all(region.inherited for region in self.regions):
            return False
        # Its memory is what it came to use itself, not what it was forked with.
        began = {sample.device: sample.live for sample in reversed(self.samples)}
        return all(device.peak - began.get(device.name, 0) < LITTLE for device in self.devices)


@dataclass(slots=True)
class Trace:
    """A run: its processes, the first one first. Empty until the recording that fills it ends."""

    processes: list[Process] = field(default_factory=list)

    @property
    def busy(self) -> list[Process]:
        """The processes of which there is something to tell: those that were not idle, or else the first one."""
        return [process for process in self.processes if not process.idle] or self.processes[:1]

    def peak(self, device: str = "cpu") -> int:
        """The most bytes in use on a device, in the process that used most; 0 if it was not seen."""
        return max((d.peak for p in self.processes for d in p.devices if d.name == device), default=0)

    @property
    def deep(self) -> bool:
        """Whether bytes of lines are counted tensor by tensor, not estimated."""
        return any(process.deep for process in self.processes)

    @property
    def saved(self) -> int:
        """Bytes saved for backward, over the whole run."""
        return sum(line.saved for line in self.lines)

    @property
    def wasted(self) -> int:
        """Bytes saved for backward and freed without being used."""
        return sum(line.wasted for line in self.lines)

    @property
    def lines(self) -> list[Line]:
        """Lines that recorded, the most wasteful first; the processes of a run that share a line stay apart."""
        return sorted(self._all("lines"), key=lambda line: (-line.wasted, -line.saved, line.file, line.line))

    @property
    def regions(self) -> list[Region]:
        """Regions of all processes in the order in which they were entered."""
        return sorted(self._all("regions"), key=lambda region: region.start)

    @property
    def leaks(self) -> list[Leak]:
        """Grad modes that got out of the code that set them."""
        return list(self._all("leaks"))

    @property
    def digests(self) -> dict[str, str]:
        """BLAKE2b (16 bytes, hexadecimal) of each file that a site names, as it was when the program ran it."""
        return {file: digest for process in self.processes for file, digest in process.digests.items()}

    def print(self) -> None:
        """Print the report to standard output."""
        from gradlint.trace.text import report

        print(report(self), end="")

    def _all(self, name: str) -> Iterator[Any]:
        for process in self.processes:
            yield from getattr(process, name)
