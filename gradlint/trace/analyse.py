"""From records to regions, threads and lines: a replay, in the order in which things happened."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradlint.trace.events import (
    ABSORBS,
    INHERITED,
    UNREAD,
    Change,
    Device,
    Kind,
    Leak,
    Line,
    Mode,
    Part,
    Process,
    Region,
    Route,
    Sample,
    Site,
    Thread,
)

if TYPE_CHECKING:
    from gradlint.trace.read import Raw

Row = tuple[int, ...]
UNKNOWN = Site("<unknown>", 0, "<unknown>", "")


@dataclass(slots=True)
class _Open:
    """A region that is being replayed."""

    site: Site
    mode: Mode
    before: Mode
    lane: int
    start: int
    entered: dict[str, int]
    peak: dict[str, int]
    inherited: bool
    unread: bool
    read: set[str] = field(default_factory=set)  # of an unread one, devices that were read inside


@dataclass(slots=True)
class _ThreadSoFar:
    """The mode a thread is in, and who set it."""

    name: str
    began: Mode
    mode: Mode
    by: Site


@dataclass(slots=True)
class _Peak:
    """The most memory of a device so far."""

    size: int = 0
    at: Site | None = None


@dataclass(slots=True)
class Replay:
    """What the records of one process come to."""

    sites: dict[int, Site] = field(default_factory=dict)
    lanes: dict[int, tuple[str, str]] = field(default_factory=dict)
    devices: dict[int, str] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    peaks: dict[str, _Peak] = field(default_factory=dict)
    threads: dict[str, _ThreadSoFar] = field(default_factory=dict)
    open: dict[int, _Open] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    entered: int = 0
    end: int = 0

    def go_on(self, raw: "Raw") -> None:
        """Replay the records of a log, or more of them."""
        self.sites.update(_sites(raw))
        self.lanes.update(_lanes(raw))
        self.devices.update((note["id"], note["name"]) for note in _of(raw, "device"))
        for record in raw.records:
            self.take(record)

    def take(self, record: tuple[int, int, int, int, int, int, int]) -> None:
        """Replay one record."""
        time, live, peak, number, lane, modes, kind = record
        thread, _ = self.lanes.get(lane, (f"thread {lane}", ""))
        mode, before = _mode(modes), _mode(modes >> 2)
        self.end = max(self.end, time)
        if kind == Kind.DEVICE:
            self._memory(self.devices.get(number, f"device {number}"), time, live, peak, thread, mode, None)
            return
        site = self.sites.get(number, UNKNOWN)
        if kind == Kind.EXIT:
            region = self.open.get(number)
            site = region.site if region is not None else UNKNOWN
        self._memory("cpu", time, live, peak, thread, mode, site)
        self._mode(thread, mode, mode if modes & INHERITED else before, site)
        match kind:
            case Kind.ENTER:
                if modes & ABSORBS:
                    self._withdraw(thread)
                unread = bool(modes & UNREAD)
                now = {device: live for device, live in self.live.items() if device == "cpu" or not unread}
                self.open[self.entered] = _Open(
                    site, mode, before, lane, time, now, dict(now), bool(modes & INHERITED), unread
                )
                self.entered += 1
            case Kind.EXIT:
                self._leave(number, time)
            case Kind.SET | Kind.IMPLICIT:
                self.changes.append(Change(site, mode, before, thread, time, kind == Kind.IMPLICIT))
            case Kind.RESET:
                self._withdraw(thread)

    def _memory(self, device: str, time: int, live: int, peak: int, thread: str, mode: Mode, site: Site | None) -> None:
        self.live[device] = live
        self.samples.append(Sample(time, device, live, peak, thread, mode))
        highest = self.peaks.setdefault(device, _Peak())
        if peak > highest.size or highest.at is None:
            highest.size, highest.at = max(peak, highest.size), site or highest.at
        for region in self.open.values():
            most = peak
            if region.unread and device != "cpu":
                if device not in region.read:  # the peak may be from before it began
                    region.read.add(device)
                    most = live
            else:
                region.entered.setdefault(device, live)  # a device that was not used before
            if most > region.peak.get(device, -1):
                region.peak[device] = most

    def _mode(self, thread: str, mode: Mode, before: Mode, site: Site) -> None:
        known = self.threads.setdefault(thread, _ThreadSoFar(thread, before, before, site))
        if mode != known.mode:
            known.mode, known.by = mode, site

    def _withdraw(self, thread: str) -> None:
        """Forget the thread's last statement: it was the making of a region or of a decorator."""
        for number in range(len(self.changes) - 1, -1, -1):
            if self.changes[number].thread == thread and not self.changes[number].implicit:
                del self.changes[number]
                return

    def _leave(self, number: int, time: int | None) -> None:
        region = self.open.pop(number, None)
        if region is None:
            return
        thread, task = self.lanes.get(region.lane, (f"thread {region.lane}", ""))
        modes, memory = (region.mode, region.before), (region.entered, region.peak)
        self.regions.append(
            Region(region.site, *modes, thread, task, region.start, time, *memory, region.inherited, region.unread)
        )

    def finish(self) -> None:
        """Keep the regions that were never left too."""
        for number in list(self.open):
            self._leave(number, None)
        self.regions.sort(key=lambda region: region.start)


def process_of(raw: "Raw") -> Process:
    """What the files of one process say."""
    replay = Replay()
    replay.go_on(raw)
    replay.finish()
    return so_far(raw, replay)


def so_far(raw: "Raw", replay: Replay) -> Process:
    """What a replay has come to, with what the notes and the table of lines say."""
    head = next(_of(raw, "head"), {})
    last = next(_of(raw, "end"), None)
    return Process(
        pid=raw.pid,
        parent=head.get("parent", 0),
        rank=_rank(raw, head),
        argv=[str(argument) for argument in head.get("argv", [])],
        start=raw.monotonic,
        end=max(replay.end, last["time"] if last else 0, raw.monotonic),
        deep=bool(head.get("deep")),
        complete=last is not None,
        devices=list(_devices(raw, replay)),
        regions=replay.regions,
        changes=replay.changes,
        samples=replay.samples,
        lines=list(_lines(raw, replay.sites)),
        leaks=list(_leaks(raw, replay.sites)),
        threads=list(_threads(raw, replay)),
        digests={note["path"]: note["digest"] for note in _of(raw, "file")},
        notes=[note["text"] for note in _of(raw, "note")],
    )


def _rank(raw: "Raw", head: dict[str, Any]) -> int | None:
    """The rank that was known at the start, or became so later."""
    found: list[Any] = [head.get("rank"), *(note["rank"] for note in _of(raw, "rank"))]
    return next((rank for rank in found if isinstance(rank, int)), None)


def _of(raw: "Raw", kind: str) -> Iterator[dict[str, Any]]:
    return (note for note in raw.notes if note.get("type") == kind)


def _mode(bits: int) -> Mode:
    """The mode in the low two bits; the fourth pattern only stands in damaged files."""
    return Mode(min(bits & 3, Mode.INFERENCE))


def _sites(raw: "Raw") -> dict[int, Site]:
    return {
        note["id"]: Site(note["file"], note["line"], note["function"], note["what"], bool(note.get("decorator")))
        for note in _of(raw, "site")
    }


def _lanes(raw: "Raw") -> dict[int, tuple[str, str]]:
    return {note["id"]: (note["thread"], str(note.get("task", ""))) for note in _of(raw, "lane")}


def _devices(raw: "Raw", replay: Replay) -> Iterator[Device]:
    for note in _of(raw, "device"):
        most = replay.peaks.get(note["name"], _Peak())
        yield Device(note["name"], note["source"], note["exact"], most.size, most.at)


def _lines(raw: "Raw", sites: dict[int, Site]) -> Iterator[Line]:
    """Lines of the program that ran forwards or saved tensors, each with the lines that did so on its behalf."""
    rows: dict[tuple[Site, Mode], list[tuple[tuple[Site, ...], Row]]] = defaultdict(list)
    inner: dict[Site, dict[Site, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for note in _of(raw, "line"):
        if not 0 <= note["row"] < len(raw.rows):
            continue  # the disk was full
        site, row = sites.get(note["site"], UNKNOWN), raw.rows[note["row"]]
        if not isinstance(note.get("outer"), int):
            callers = note.get("callers")
            ways = callers if isinstance(callers, list) else ()
            rows[site, _mode(note["mode"])].append((tuple(sites.get(way, UNKNOWN) for way in ways), row))
        else:
            inner[sites.get(note["outer"], UNKNOWN)][site].append(row)
    for (site, mode), same in rows.items():
        parts = inner[site] if mode == Mode.GRAD else {}
        yield _line(site, mode, same, parts)


def _line(site: Site, mode: Mode, rows: list[tuple[tuple[Site, ...], Row]], parts: dict[Site, list[Row]]) -> Line:
    """One line; several rows of it are several calls that stand on it, or several ways to come there."""
    saved, wasted, calls, wasted_calls, alive, most, rises, graphs = _sums(row for _, row in rows)
    growing = rises >= GROWING and (graphs >= GROWING or 2 * wasted_calls > calls)
    found = [Part(part, sum(row[0] for row in same), sum(row[1] for row in same)) for part, same in parts.items()]
    inside = tuple(sorted(found, key=lambda part: (-part.wasted, -part.saved, part.site)))
    return Line(
        site.file, site.line, site.function, mode, saved, wasted, calls, wasted_calls, alive, most, growing, inside,
        tuple(_routes(rows)),
    )  # fmt: skip


def _routes(rows: list[tuple[tuple[Site, ...], Row]]) -> Iterator[Route]:
    ways: dict[tuple[Site, ...], list[Row]] = defaultdict(list)
    for callers, row in rows:
        ways[callers].append(row)
    for callers, same in ways.items():
        saved, wasted, calls, wasted_calls, alive, *_ = _sums(same)
        yield Route(callers, saved, wasted, calls, wasted_calls, alive)


def _sums(rows: Iterable[Row]) -> Iterator[int]:
    return (sum(words) for words in zip(*rows, strict=True))


GROWING = 5  # so many forwards must have left more graphs alive than the one before


def _leaks(raw: "Raw", sites: dict[int, Site]) -> Iterator[Leak]:
    found: dict[tuple[str, int], Leak] = {}
    for note in _of(raw, "leak"):
        site = sites.get(note["site"], UNKNOWN)
        found[note["kind"], note["site"]] = Leak(note["kind"], site, note["message"], note["times"])
    yield from found.values()


def _threads(raw: "Raw", replay: Replay) -> Iterator[Thread]:
    internal = {note["thread"]: note["internal"] for note in _of(raw, "thread")}
    for so_far in replay.threads.values():
        left_by = so_far.by if so_far.mode != so_far.began else None
        yield Thread(so_far.name, so_far.began, so_far.mode, left_by, internal.get(so_far.name, 0))
