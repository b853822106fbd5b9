"""The log of one process: 32-byte records in a mapped file, places and other rare things as JSON lines beside it.

What was written is in the kernel's hands at once and survives any death of the process. Space is allocated, not
just declared: a mapped hole on a full disk would kill the program with SIGBUS at the first write.
"""

import contextlib
import errno
import json
import mmap
import os
import struct
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

RECORD = struct.Struct(
    "<QqqIHBB"
)  # time, live, peak, site, lane, modes, kind: the kind last, it makes the record valid
HEADER = struct.Struct("<8sIIqq")  # magic, version, pid, wall clock and monotonic clock (ns); as long as a record
MAGIC = b"gradtrac"
VERSION = 1
CHUNK = 1 << 20
OFFSET, LAST, MOST, ENTERED = range(4)  # words that change with each record: see `Log.words`
SLOT = 8  # 64-bit words for each line in the table of lines

Buffer: TypeAlias = "mmap.mmap | array[int]"
Record = Callable[[int, int, int, int], bool]  # site, lane, modes, kind; False if there was no room
Recorder = Callable[[Buffer, Buffer], "Record | None"]


class Mapped:
    """A file that grows by chunks, each allocated on disk before it is mapped."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._chunks = 0

    def grow(self) -> mmap.mmap:
        """One more chunk, zeroed.

        Raises:
            OSError: when there is no room for it.
        """
        _allocate(self._fd, self._chunks * CHUNK, CHUNK)
        chunk = mmap.mmap(self._fd, CHUNK, offset=self._chunks * CHUNK)
        self._chunks += 1
        return chunk

    def cut(self, length: int) -> None:
        """Give back what lies behind ``length`` and close; the chunks must not be written any more."""
        with contextlib.suppress(OSError):  # it only costs room
            os.ftruncate(self._fd, length)
        self.close()

    def close(self) -> None:
        """Close the descriptor; what is mapped stays mapped."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _allocate(fd: int, offset: int, length: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, offset, length)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        else:
            return
    os.lseek(fd, offset, os.SEEK_SET)
    zeros = bytes(1 << 16)
    for _ in range(length >> 16):
        if os.write(fd, zeros) != len(zeros):
            raise OSError(errno.ENOSPC, "no room for the trace")


class Log:
    """Writes one process's part of a trace. Never raises once it is open: what finds no room is counted as lost."""

    __slots__ = ("__dict__", "swift")  # where C finds it

    def __init__(self, folder: Path, name: str, wall: int, monotonic: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.log"
        self.lost = 0
        self._file = Mapped(self.path)
        self._notes = os.open(
            folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        self._view = self._file.grow()
        # Where the next record goes in this chunk, when the last was made (ns), the highest peak of the CPU in any,
        # how many regions were entered.
        self.words = array("q", [HEADER.size, 0, 0, 0])
        self.swift: Record | None = None
        self._recorder: Recorder | None = None
        self._written = 0
        HEADER.pack_into(self._view, 0, MAGIC, VERSION, os.getpid(), wall, monotonic)
        self._pack = RECORD.pack_into
        self._table = Mapped(folder / f"{name}.lines")
        self._rows: list[memoryview[int]] = []
        self._lengthening = threading.Lock()

    def record(self, time: int, live: int, peak: int, site: int, lane: int, modes: int, kind: int) -> None:
        """Append a record. ``modes`` holds the mode after in its low two bits, the mode before in the next two."""
        offset = self.words[OFFSET]
        if offset >= CHUNK:
            if not self._room():
                return
            offset = 0
        self._pack(self._view, offset, time, live, peak, site, lane, modes, kind)
        self.words[OFFSET] = offset + 32
        self.words[LAST] = time

    def _room(self) -> bool:
        if self.lost or self._notes < 0:
            self.lost += 1
            return False
        try:
            self._view = self._file.grow()
        except OSError:
            self.lost = 1
            self.note(type="note", text="the disk was full: later events are missing")
            return False
        self._written += CHUNK
        self.words[OFFSET] = 0
        self.record_with(self._recorder)
        return True

    def record_with(self, recorder: "Recorder | None") -> None:
        """Have another way to append records, made anew for each chunk: ``swift``, which is None if there is none."""
        self._recorder = recorder
        self.swift = None if recorder is None else recorder(self._view, self.words)

    def note(self, **fields: Any) -> None:
        """Append a JSON line; one that finds no room is counted as lost."""
        try:
            os.write(self._notes, json.dumps(fields, default=str).encode("ascii") + b"\n")
        except OSError:
            self.lost += 1

    def row(self, number: int) -> "memoryview[int] | None":
        """The words of a line's counters, or None if there is no room for them."""
        each = CHUNK // (8 * SLOT)
        if number // each >= len(self._rows) and not self._lengthen(1 + number // each):
            return None
        start = number % each * SLOT
        return self._rows[number // each][start : start + SLOT]

    def _lengthen(self, chunks: int) -> bool:
        """Make the table of lines longer; threads meet here at their first forward."""
        with self._lengthening:
            while len(self._rows) < chunks:
                try:
                    self._rows.append(memoryview(self._table.grow()).cast("q"))
                except OSError:
                    self.lost += 1
                    return False
        return True

    def position(self) -> int:
        """How many bytes of records there are."""
        return self._written + min(self.words[OFFSET], CHUNK)

    def close(self) -> None:
        """Give back the unused room; what comes later is dropped."""
        length = self.position()
        self._stop()
        self._file.cut(length)

    def abandon(self) -> None:
        """Let go of files that another process goes on writing (after a fork)."""
        self._stop()
        self._file.close()

    def _stop(self) -> None:
        """Write nowhere from now on: neither behind the cut end nor through a reused descriptor."""
        self.words[OFFSET] = CHUNK
        self._table.close()
        if self._notes >= 0:
            os.close(self._notes)
        self._notes = -1
