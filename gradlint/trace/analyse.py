"""From a log to what a process did: a replay of its records, its notes, and its table of lines."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gradlint.trace.events import Device, Leak, Line, Mode, Part, Process, Route, Site, Thread
from gradlint.trace.replay import UNKNOWN, Peak, Replay, mode_of, notes

if TYPE_CHECKING:
    from gradlint.trace.read import Raw

Row = tuple[int, ...]


def process_of(raw: "Raw") -> Process:
    """What the files of one process say."""
    replay = Replay()
    replay.go_on(raw)
    replay.finish()
    return so_far(raw, replay)


def so_far(raw: "Raw", replay: Replay) -> Process:
    """What a replay has come to, with what the notes and the table of lines say."""
    head = next(notes(raw, "head"), {})
    last = next(notes(raw, "end"), None)
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
        digests={note["path"]: note["digest"] for note in notes(raw, "file")},
        notes=[note["text"] for note in notes(raw, "note")],
    )


def _rank(raw: "Raw", head: dict[str, Any]) -> int | None:
    """The rank that was known at the start, or became so later."""
    found: list[Any] = [head.get("rank"), *(note["rank"] for note in notes(raw, "rank"))]
    return next((rank for rank in found if isinstance(rank, int)), None)


def _devices(raw: "Raw", replay: Replay) -> Iterator[Device]:
    for note in notes(raw, "device"):
        most = replay.peaks.get(note["name"], Peak())
        yield Device(note["name"], note["source"], note["exact"], most.size, most.at)


def _lines(raw: "Raw", sites: dict[int, Site]) -> Iterator[Line]:
    """Lines of the program that ran forwards or saved tensors, each with the lines that did so on its behalf."""
    rows: dict[tuple[Site, Mode], list[tuple[tuple[Site, ...], Row]]] = defaultdict(list)
    inner: dict[Site, dict[Site, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for note in notes(raw, "line"):
        if not 0 <= note["row"] < len(raw.rows):
            continue  # the disk was full
        site, row = sites.get(note["site"], UNKNOWN), raw.rows[note["row"]]
        if not isinstance(note.get("outer"), int):
            callers = note.get("callers")
            ways = callers if isinstance(callers, list) else ()
            rows[site, mode_of(note["mode"])].append((tuple(sites.get(way, UNKNOWN) for way in ways), row))
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
    for note in notes(raw, "leak"):
        site = sites.get(note["site"], UNKNOWN)
        found[note["kind"], note["site"]] = Leak(note["kind"], site, note["message"], note["times"])
    yield from found.values()


def _threads(raw: "Raw", replay: Replay) -> Iterator[Thread]:
    internal = {note["thread"]: note["internal"] for note in notes(raw, "thread")}
    for so_far in replay.threads.values():
        left_by = so_far.by if so_far.mode != so_far.began else None
        yield Thread(so_far.name, so_far.began, so_far.mode, left_by, internal.get(so_far.name, 0))
