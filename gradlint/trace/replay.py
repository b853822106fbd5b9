"""From records to regions, changes and samples: what happened, in the order in which it did."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradlint.trace.events import Change, Mode, Region, Sample, Site
from gradlint.trace.kinds import ABSORBS, INHERITED, UNREAD, Kind

if TYPE_CHECKING:
    from gradlint.trace.read import Raw

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
class Peak:
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
    peaks: dict[str, Peak] = field(default_factory=dict)
    threads: dict[str, _ThreadSoFar] = field(default_factory=dict)
    open: dict[int, _Open] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    entered: int = 0
    end: int = 0

    def go_on(self, raw: "Raw") -> None:
        """Replay the records of a log, or more of them."""
        self.sites.update(_sites(raw))
        self.lanes.update(_lanes(raw))
        self.devices.update((note["id"], note["name"]) for note in notes(raw, "device"))
        for record in raw.records:
            self.take(record)

    def take(self, record: tuple[int, int, int, int, int, int, int]) -> None:
        """Replay one record."""
        time, live, peak, number, lane, modes, kind = record
        thread, _ = self.lanes.get(lane, (f"thread {lane}", ""))
        mode, before = mode_of(modes), mode_of(modes >> 2)
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
        highest = self.peaks.setdefault(device, Peak())
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
        modes, memory = (region.mode, region.before), (_cpu_first(region.entered), _cpu_first(region.peak))
        self.regions.append(
            Region(region.site, *modes, thread, task, region.start, time, *memory, region.inherited, region.unread)
        )

    def finish(self) -> None:
        """Keep the regions that were never left too."""
        for number in list(self.open):
            self._leave(number, None)
        self.regions.sort(key=lambda region: region.start)


def _cpu_first(figures: dict[str, int]) -> dict[str, int]:
    """Whatever was read first."""
    return dict(sorted(figures.items(), key=lambda figure: figure[0] != "cpu"))


def notes(raw: "Raw", kind: str) -> Iterator[dict[str, Any]]:
    """What was noted of one kind."""
    return (note for note in raw.notes if note.get("type") == kind)


def mode_of(bits: int) -> Mode:
    """The mode in the low two bits; the fourth pattern only stands in damaged files."""
    return Mode(min(bits & 3, Mode.INFERENCE))


def _sites(raw: "Raw") -> dict[int, Site]:
    return {
        note["id"]: Site(note["file"], note["line"], note["function"], note["what"], bool(note.get("decorator")))
        for note in notes(raw, "site")
    }


def _lanes(raw: "Raw") -> dict[int, tuple[str, str]]:
    return {note["id"]: (note["thread"], str(note.get("task", ""))) for note in notes(raw, "lane")}
