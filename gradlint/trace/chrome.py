"""A trace as Chrome's JSON, which Perfetto and chrome://tracing open: slices, counters, names."""

import json
from collections.abc import Iterator
from typing import Any

from gradlint.trace.events import Process, Region, Trace

Event = dict[str, Any]


def report(trace: Trace) -> str:
    """The whole trace as JSON text. Times are in microseconds since the first process began."""
    start = min((process.start for process in trace.processes), default=0)
    events = [event for process in trace.processes for event in _process(process, start)]
    return json.dumps({"displayTimeUnit": "ms", "traceEvents": events}) + "\n"


def _process(process: Process, start: int) -> Iterator[Event]:
    names = [thread.name for thread in process.threads]
    numbers = {name: number for number, name in enumerate(names, 1)}
    yield _meta(process, 0, "process_name", process.name)
    for name, number in numbers.items():
        yield _meta(process, number, "thread_name", name)
    for thread, number in numbers.items():
        regions = [region for region in process.regions if region.thread == thread]
        yield from _slices(process, number, regions, start)
    for number, change in enumerate(process.changes):
        what = "implicit change" if change.implicit else "set_grad_enabled"
        yield {
            **_event(process, numbers.get(change.thread, 0), "i", change.time - start, f"{what}: {change.mode}"),
            "s": "t",
            "id": number,
            "args": {"at": str(change.site)},
        }
    for sample in process.samples:
        yield {
            **_event(process, 0, "C", sample.time - start, f"{sample.device} memory"),
            "args": {"live": sample.live},
        }


def _slices(process: Process, thread: int, regions: list[Region], start: int) -> Iterator[Event]:
    """Regions as slices where they nest; those of tasks and such that overlap as events with a number of their own."""
    open_until: list[int] = []
    for number, region in enumerate(sorted(regions, key=lambda r: (r.start, -(r.end or process.end)))):
        end = region.end if region.end is not None else process.end
        while open_until and open_until[-1] <= region.start:
            open_until.pop()
        args = {"at": str(region.site), "function": region.site.function, "peak": region.peak, "task": region.task}
        if region.unread:
            args["peak of devices"] = "at least"
        if region.task or (open_until and end > open_until[-1]):
            both = {"cat": "grad mode", "id": f"{process.pid}.{process.start}.{thread}.{number}"}
            yield {**_event(process, thread, "b", region.start - start, str(region.mode)), **both, "args": args}
            yield {**_event(process, thread, "e", end - start, str(region.mode)), **both}
            continue
        open_until.append(end)
        slice_ = _event(process, thread, "X", region.start - start, str(region.mode))
        yield {**slice_, "cat": "grad mode", "dur": (end - region.start) / 1000, "args": args}


def _event(process: Process, thread: int, phase: str, time: int, name: str) -> Event:
    return {"ph": phase, "pid": process.pid, "tid": thread, "ts": time / 1000, "name": name}


def _meta(process: Process, thread: int, name: str, value: str) -> Event:
    return {"ph": "M", "pid": process.pid, "tid": thread, "name": name, "args": {"name": value}}
