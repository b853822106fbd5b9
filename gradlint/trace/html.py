"""A trace as one HTML page that needs nothing else: the chart library is inside, and nothing may be loaded."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from gradlint.trace import timeline
from gradlint.trace.events import Process, Trace, TraceError
from gradlint.trace.text import place, seen, stays

BINS = 1500  # as many as a screen has columns to show them in
UNITS = {"ms": 1e6, "s": 1e9}
LONG = 10_000_000_000  # ns: from here on times are told in seconds
_PAGE = Path(__file__).parent / "page.html"


def report(trace: Trace) -> str:
    """The page.

    Raises:
        TraceError: when the chart library is not installed.
    """
    try:
        library: str = import_module("plotly.offline").get_plotlyjs()
    except ImportError as error:
        raise TraceError("an HTML report needs plotly: pip install 'torch-gradlint[html]'") from error
    data = json.dumps(_data(trace)).replace("<", "\\u003c")  # a name may not end the script it stands in
    page = _PAGE.read_text(encoding="utf-8")
    return page.replace("/*DATA*/", data).replace("/*LIBRARY*/", library.replace("</script", "<\\/script"))


def _data(trace: Trace) -> dict[str, Any]:
    start = min((process.start for process in trace.processes), default=0)
    length = max((process.end for process in trace.processes), default=0) - start
    unit = "s" if length > LONG else "ms"
    return {
        "deep": trace.deep,
        "unit": unit,
        "processes": [_process(process, start, UNITS[unit]) for process in trace.busy],
        "idle": len(trace.processes) - len(trace.busy),
        "lines": [row for process in trace.processes for row in _lines(process)],
        "regions": [row for process in trace.processes for row in _regions(process)],
        "leaks": [row for process in trace.processes for row in _leaks(process)],
    }


def _process(process: Process, start: int, unit: float) -> dict[str, Any]:
    devices = []
    for device in process.devices:
        points = timeline.memory(process, device.name, BINS)
        times = [(point.time - start) / unit for point in points]
        what = {"name": device.name, "source": device.source, "exact": device.exact, "peak": device.peak}
        devices.append({**what, "x": times, "y": [point.most for point in points]})
    threads = []
    for name, segments in timeline.modes(process, BINS).items():
        rows = [
            [(s.start - start) / unit, (s.end - s.start) / unit, str(s.mode), place(s.site) if s.site else ""]
            for s in segments
        ]
        threads.append({"name": name, "segments": rows})
    return {
        "name": process.name,
        "command": " ".join(process.argv),
        "notes": process.notes,
        "complete": process.complete,
        "devices": devices,
        "threads": threads,
    }


def _lines(process: Process) -> Iterator[list[Any]]:
    for line in process.lines:
        mode = str(line.mode)
        row = [place(line), line.function, mode, line.calls, line.wasted_calls, line.saved, line.wasted, line.alive]
        yield [*row, process.name]


def _regions(process: Process) -> Iterator[list[Any]]:
    for (site, mode), stay in stays(r for r in process.regions if not r.inherited).items():
        peak = max(stay.peak.values(), default=0)
        looked = f"at least: {seen(stay)}" if stay.unread else ""
        yield [place(site), site.function, str(mode), stay.times, stay.inside / 1e6, peak, looked, process.name]


def _leaks(process: Process) -> Iterator[list[Any]]:
    for leak in process.leaks:
        yield [place(leak.site), leak.site.function, leak.kind, leak.message, leak.times, process.name]
