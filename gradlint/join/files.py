"""Which file of a trace is which source: by path, or, for a run made elsewhere, by content."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gradlint.fix import encoded
from gradlint.source import Source
from gradlint.trace.events import Leak, Line, Process, Trace


@dataclass(slots=True)
class Ran:
    """What a trace saw of one file. ``changed`` if the file is not what ran; then all the rest is left empty.

    ``lines`` are those that ran forwards, ``through`` those that led to one: what it cost, and the line it stood on.
    """

    changed: bool = False
    lines: list[Line] = field(default_factory=list)
    through: list[tuple[Line, Line]] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    modes: set[int] = field(default_factory=set)
    deep: bool = True


def digest(source: Source) -> str:
    """What a trace notes of a file's bytes: BLAKE2b, 16 bytes, hexadecimal."""
    return hashlib.blake2b(encoded(source), digest_size=16).hexdigest()


def ran(trace: Trace, sources: Mapping[str, Source]) -> dict[str, Ran]:
    """What the processes of a trace saw of each source, by path; sources that none met are left out.

    Processes that ran an older text of a file say nothing of it.
    """
    paths = {os.path.realpath(path): path for path in sources}
    digests = {path: digest(source) for path, source in sources.items()}
    found: dict[str, Ran] = {}
    current: set[str] = set()
    for process in trace.processes:
        for file, path in _files(process, paths, digests):
            seen = found.setdefault(path, Ran())
            if process.digests[file] == digests[path]:
                current.add(path)
                _add(seen, process, file)
    for path, seen in found.items():
        seen.changed = path not in current
    return found


def _through(line: Line, file: str) -> Iterator[tuple[Line, Line]]:
    """The lines of a file that led to a line, each with what it cost there."""
    for route in line.routes:
        for way in {(site.line, site.function) for site in route.callers if site.file == file}:
            yield (
                Line(file, *way, line.mode, route.saved, route.wasted, route.calls, route.wasted_calls, route.alive),
                line,
            )


def _files(process: Process, paths: Mapping[str, str], digests: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Files of the process, and the sources they are."""
    for file, content in process.digests.items():
        path = paths.get(os.path.realpath(file))
        if path is None:  # traced in another folder or on another machine?
            path = _only(path for path in digests if digests[path] == content and _name(path) == _name(file))
        if path is not None:
            yield file, path


def _only(found: Iterable[str]) -> str | None:
    """The one there is; several files of the same text cannot be told apart."""
    same = [*found]
    return same[0] if len(same) == 1 else None


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _add(seen: Ran, process: Process, file: str) -> None:
    seen.deep &= process.deep
    seen.lines += [line for line in process.lines if line.file == file]
    seen.through += [found for line in process.lines for found in _through(line, file)]
    seen.leaks += [leak for leak in process.leaks if leak.site.file == file]
    seen.modes.update(region.site.line for region in process.regions if region.site.file == file)
    seen.modes.update(change.site.line for change in process.changes if change.site.file == file)
