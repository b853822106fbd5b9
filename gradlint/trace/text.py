"""The report as text: what matters first, places that can be clicked, bytes a person can read."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gradlint.trace.events import Line, Mode, Process, Region, Site, Trace

_PACKAGES = re.compile(r".*[/\\](?:site|dist)-packages[/\\]")
INSIDE = 3  # innermost lines shown of each
MOST = 12  # rows of a table; the rest is counted


def size(number: float) -> str:
    """Bytes with a binary unit: ``1.5 MiB``."""
    sign, number = ("-" if number < 0 else ""), abs(number)
    if number < 1024:
        return f"{sign}{number:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:
            return f"{sign}{number:.1f} {unit}"
    return f"{sign}{number / 1024:.1f} TiB"


def duration(nanoseconds: float) -> str:
    """A time with a fitting unit, in three digits: ``12.3 ms``; from 1,000 seconds on in whole ones."""
    units = ("s", 1e9), ("ms", 1e6), ("us", 1e3)
    # What is rounded up to a thousand of a unit is one of the next.
    unit, scale = next((each for each in units if nanoseconds >= 0.9995 * each[1]), units[-1])
    amount = nanoseconds / scale
    return f"{amount:.3g} {unit}" if amount < 999.5 else f"{amount:.0f} {unit}"


def place(site: Site | Line) -> str:
    """The file, relative if it lies below the current folder, and the line."""
    return f"{relative(site.file)}:{site.line}"


def relative(file: str) -> str:
    """A path relative to the current folder if it lies below it; of an installed package from its name on."""
    return file[len(_package(file)) :].removeprefix(os.getcwd() + os.sep)


def _package(file: str) -> str:
    """The folder of installed packages that a file lies in, with a separator behind it; empty if in none."""
    found = _PACKAGES.match(file)
    return found[0] if found else ""


def report(trace: Trace) -> str:
    """The whole report, a newline after each line."""
    return "".join(f"{line}\n" for line in _report(trace))


def _report(trace: Trace) -> Iterator[str]:
    if not trace.processes:
        yield "nothing was recorded: no process of the run imported torch"
        return
    yield _headline(trace)
    busy = trace.busy
    idle = len(trace.processes) - len(busy)
    for process in busy:
        yield from _process(process, several=len(busy) > 1)
    if idle:
        yield ""
        yield f"{idle} more process{'es' if idle > 1 else ''} ran no module and entered no grad mode"


def _headline(trace: Trace) -> str:
    seconds = max(p.end for p in trace.processes) - min(p.start for p in trace.processes)
    count = len(trace.processes)
    return f"gradlint trace: {duration(seconds)}, {count} process{'es' if count > 1 else ''}" + (
        ", deep" if trace.deep else ""
    )


def _process(process: Process, *, several: bool) -> Iterator[str]:
    if several:
        yield ""
        pid = "" if process.rank is None else f" (process {process.pid})"
        yield f"== {process.name}{pid}: {' '.join(process.argv)}"
    if not process.complete:
        yield "  ended without a goodbye (killed, os._exit or exec): all that happened before is here"
    yield from (f"  note: {note}" for note in process.notes)
    yield from _leaks(process)
    yield from _threads(process)
    yield from _peaks(process)
    yield from _regions(process)
    yield from _lines(process)


def _leaks(process: Process) -> Iterator[str]:
    if process.leaks:
        yield ""
        yield "Grad modes that leaked"
    for leak in sorted(process.leaks, key=lambda leak: (leak.site, leak.kind)):
        yield f"  {place(leak.site)} {leak.site.what} in {leak.site.function}: {leak.message}{_times(leak.times)}"


def _times(count: int) -> str:
    return f" ({count:,} times)" if count > 1 else ""


def _threads(process: Process) -> Iterator[str]:
    yield ""
    yield "Grad mode at the end"
    for thread in process.threads:
        changed = f", left so by {place(thread.left_by)}" if thread.left_by else ""
        internal = f"; torch changed it {thread.internal:,} times for itself" if thread.internal else ""
        yield f"  {thread.name}: {thread.ended}{changed}{internal}"
    if not process.threads:
        yield "  never changed"


def _peaks(process: Process) -> Iterator[str]:
    yield ""
    yield "Peak memory"
    for device in process.devices:
        least = "" if device.exact else "at least "
        where = f" near {place(device.at)}" if device.at is not None and device.at.line else ""
        yield f"  {device.name}: {least}{size(device.peak)}{where}  [{device.source}]"


@dataclass(slots=True)
class Stays:
    """All regions that one place opened in one mode."""

    times: int = 0
    inside: int = 0
    unended: int = 0
    unread: int = 0
    peak: dict[str, int] = field(default_factory=dict)


def stays(regions: Iterable[Region]) -> dict[tuple[Site, Mode], Stays]:
    """Regions by place and mode, the longest stay first."""
    found: dict[tuple[Site, Mode], Stays] = defaultdict(Stays)
    for region in regions:
        stay = found[region.site, region.mode]
        stay.times += 1
        stay.unread += region.unread
        if region.end is None:
            stay.unended += 1
        else:
            stay.inside += region.end - region.start
        for device, peak in region.peak.items():
            stay.peak[device] = max(peak, stay.peak.get(device, 0))
    return dict(sorted(found.items(), key=lambda item: (-item[1].inside, item[0])))


def _regions(process: Process) -> Iterator[str]:
    found = [region for region in process.regions if not region.inherited]
    yield from _entered("Where grad modes were entered", [r for r in found if not _package(r.site.file)])
    yield from _entered("Where installed packages entered them", [r for r in found if _package(r.site.file)])


def _entered(title: str, regions: list[Region]) -> Iterator[str]:
    found = stays(regions)
    if not found:
        return
    yield ""
    yield title
    for (site, mode), stay in list(found.items())[:MOST]:
        peak = ", ".join(f"{_least(stay, device)}{size(most)} {device}" for device, most in stay.peak.items())
        peak += f" ({seen(stay)})" if stay.unread else ""
        left = f", {stay.unended} never left" if stay.unended else ""
        times = f"{stay.times:,} time{'s' if stay.times > 1 else ''}"
        yield f"  {place(site)} {site.function}: {mode} {times}, {duration(stay.inside)} inside{left}, peak {peak}"
    if len(found) > MOST:
        yield f"  and {len(found) - MOST} more places"


def _least(stay: Stays, device: str) -> str:
    return "at least " if stay.unread and device != "cpu" else ""


def seen(stay: Stays) -> str:
    """In how many of a place's regions memory of devices was read."""
    return f"devices read in {stay.times - stay.unread:,} of {stay.times:,}"


def _lines(process: Process) -> Iterator[str]:
    lines = sorted(process.lines, key=lambda line: (-line.wasted, -line.most, line.file, line.line))
    kept = [line for line in lines if line.growing]
    wasted = [line for line in lines if line.wasted > line.saved // 2 or (line.wasted_calls and not line.saved)]
    if wasted:
        yield ""
        yield f"Saved for backward and never used: {size(sum(line.wasted for line in wasted))}"
    for line in wasted[:MOST]:
        yield f"  {place(line)} {line.function}: {_waste(line, exact=process.deep)}"
        yield from _inside(line)
    if len(wasted) > MOST:
        yield f"  and {len(wasted) - MOST} more lines"
    if wasted:
        yield "  No backward came by before it was freed. What is not trained on belongs under torch.no_grad()."
    if kept:
        yield ""
        yield "Kept alive, more and more with every forward"
    for line in kept[:MOST]:
        held = f"{size(line.most)} at most, {size(line.alive)} at the end" if line.most else "count bytes with --deep"
        yield f"  {place(line)} {line.function}: graphs of {line.calls:,} forwards, {held}"
    if kept:
        yield "  Something keeps what each forward returned: add .item() or .detach() where only the value is needed."


def _waste(line: Line, *, exact: bool) -> str:
    """How much a line saved for nothing, and in how many of its forwards."""
    calls = f"in {line.wasted_calls:,} of {line.calls:,} forwards" if line.calls else ""
    if not line.saved:
        return f"graphs that hold no memory of their own, {calls}"
    amount = f"{'' if exact else 'about '}{size(line.wasted)} ({line.wasted / line.saved:.0%} of what it saves)"
    return f"{amount}, {calls}" if calls else amount


def _inside(line: Line) -> Iterator[str]:
    """The innermost lines that saved most of it, unless it is the line itself."""
    parts = [part for part in line.inside if part.wasted and str(part.site) != str(line)]
    for part in parts[:INSIDE]:
        yield f"    {size(part.wasted)} at {place(part.site)} {part.site.function}"
