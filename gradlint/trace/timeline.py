"""What happened over time, thinned to what a screen can show."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from gradlint.trace.events import Mode, Process, Site


@dataclass(frozen=True, slots=True)
class Segment:
    """A thread stays in a mode; ``site`` is where it was entered, if a region began just then."""

    start: int
    end: int
    mode: Mode
    site: Site | None


@dataclass(frozen=True, slots=True)
class Point:
    """The most memory in use in a stretch of time, and where the stretch ends."""

    time: int
    most: int


def memory(process: Process, device: str, bins: int) -> list[Point]:
    """Memory of a device over time, at most two points for each of ``bins`` stretches; no peak is lost."""
    width = max((process.end - process.start) // bins, 1)
    most: dict[int, tuple[int, int, int]] = {}
    for sample in process.samples:
        if sample.device == device:
            number = (sample.time - process.start) // width
            peak = max(most[number][0] if number in most else 0, sample.peak)
            most[number] = (peak, sample.time, sample.live)
    points = []
    for _, (peak, time, live) in sorted(most.items()):
        points.append(Point(time, peak))
        if live != peak:
            points.append(Point(time, live))
    return points


def modes(process: Process, bins: int) -> dict[str, list[Segment]]:
    """The modes of each thread over time; where more than ``bins`` would be shown, short stays are left out."""
    sites = {(region.thread, region.start): region.site for region in process.regions}
    found: dict[str, list[Segment]] = defaultdict(list)
    now: dict[str, tuple[int, Mode]] = {}
    for sample in process.samples:
        before = now.get(sample.thread)
        if before is None:
            now[sample.thread] = (sample.time, sample.mode)
        elif before[1] != sample.mode:
            start, mode = before
            found[sample.thread].append(Segment(start, sample.time, mode, sites.get((sample.thread, start))))
            now[sample.thread] = (sample.time, sample.mode)
    for thread, (start, mode) in now.items():
        found[thread].append(Segment(start, process.end, mode, sites.get((thread, start))))
    width = (process.end - process.start) // bins
    return {thread: list(_thinned(segments, bins, width)) for thread, segments in found.items()}


def _thinned(segments: list[Segment], bins: int, width: int) -> Iterator[Segment]:
    """Segments, those shorter than a bin merged into the one before."""
    if len(segments) <= bins:
        yield from segments
        return
    kept = segments[0]
    for segment in segments[1:]:
        if segment.end - segment.start < width or segment.mode == kept.mode:
            kept = Segment(kept.start, segment.end, kept.mode, kept.site)
        else:
            yield kept
            kept = segment
    yield kept
