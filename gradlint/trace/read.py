"""Reading a trace back: a folder with a log, a table of lines and notes for each process."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradlint.trace.analyse import process_of
from gradlint.trace.events import Process, Trace, TraceError
from gradlint.trace.log import HEADER, MAGIC, RECORD, SLOT, VERSION

Note = dict[str, Any]
Row = tuple[int, ...]
Record = tuple[int, int, int, int, int, int, int]


@dataclass(slots=True)
class Raw:
    """One process's files, parsed but not understood."""

    pid: int
    wall: int
    monotonic: int
    records: list[Record]
    notes: list[Note]
    rows: list[Row] = field(default_factory=list)


def load(*paths: str | Path) -> Trace:
    """The trace in these folders, as one run.

    Raises:
        TraceError: when a folder holds no trace, or one that is damaged beyond a cut end.
    """
    trace = Trace()
    for path in paths:
        logs = sorted(Path(path).glob("*.log"))
        if not logs:
            raise TraceError(f"{path}: no trace here" if Path(path).is_dir() else f"{path}: no such trace")
        trace.processes += _readable(logs)
    trace.processes.sort(key=lambda process: (process.rank is not None, process.rank or 0, process.start))
    return trace


def _readable(logs: list[Path]) -> list[Process]:
    """The processes of a folder; one whose log cannot be read is no reason to lose the others.

    Raises:
        TraceError: when none can be read.
    """
    processes, faults = [], []
    for log in logs:
        try:
            processes.append(process_of(read(log)))
        except TraceError as error:
            faults.append(error)
    if not processes:
        raise faults[0]
    processes[0].notes += [f"{fault}: left out" for fault in faults]
    return processes


def read(log: Path, start: int = HEADER.size) -> Raw:
    """The files of one process, its records from a byte of the log on.

    A cut end, as a killed process or a full disk leaves, is no fault.

    Raises:
        TraceError: when the log cannot be read, or is no log.
    """
    try:
        with log.open("rb") as file:
            head = file.read(HEADER.size)
            file.seek(start)
            data = file.read()
        notes = list(_notes(log.with_suffix(".jsonl")))
        table = log.with_suffix(".lines")
        rows = list(_rows(table, 1 + max((n["row"] for n in notes if n["type"] == "line"), default=-1)))
    except OSError as error:
        raise TraceError(f"cannot read {error.filename}: {error.strerror}") from error
    if len(head) < HEADER.size or head[:8] != MAGIC:
        raise TraceError(f"{log}: not a gradlint trace")
    _, version, pid, wall, monotonic = HEADER.unpack(head)
    if version != VERSION:
        raise TraceError(f"{log}: version {version} of the format; this gradlint reads {VERSION}")
    return Raw(pid, wall, monotonic, list(_records(data)), notes, rows)


def _records(data: bytes) -> Iterator[Record]:
    whole = len(data) - len(data) % RECORD.size
    for record in RECORD.iter_unpack(data[:whole]):
        if record[-1] == 0:  # nothing was written from here on
            return
        yield record


def _rows(table: Path, count: int) -> Iterator[Row]:
    """The rows of the table of lines: as many as there are notes of, and more if they hold something."""
    data = table.read_bytes() if table.exists() else b""
    used = max(count * 8 * SLOT, len(data.rstrip(b"\0")) + 8 * SLOT - 1)
    words = memoryview(data[: min(used, len(data)) // (8 * SLOT) * (8 * SLOT)]).cast("q")
    for start in range(0, len(words), SLOT):
        yield tuple(words[start : start + SLOT])


def _notes(path: Path) -> Iterator[Note]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            note = json.loads(line)
        except ValueError:  # the end that was being written, or damage: the rest still counts
            continue
        if isinstance(note, dict) and _whole(note):
            yield note


# What each kind of note must say to be understood; damaged ones are left out.
_FIELDS: dict[str, dict[str, type]] = {
    "head": {"argv": list, "parent": int},
    "device": {"id": int, "name": str, "source": str, "exact": bool},
    "site": {"id": int, "file": str, "line": int, "function": str, "what": str},
    "lane": {"id": int, "thread": str},
    "file": {"path": str, "digest": str},
    "line": {"row": int, "site": int, "mode": int},
    "leak": {"kind": str, "site": int, "message": str, "times": int},
    "thread": {"thread": str, "internal": int},
    "note": {"text": str},
    "end": {"time": int},
    "rank": {"rank": int},
}


def _whole(note: Note) -> bool:
    kind = note.get("type")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    return fields is not None and all(isinstance(note.get(name), wanted) for name, wanted in fields.items())
