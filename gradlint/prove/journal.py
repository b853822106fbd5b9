"""What files held before they were changed, kept on the disk until the change is final.

Before a file is touched its bytes are saved, and each text that it is about to get is noted. Whoever finds the
journal later - this process, its guardian, the next run - can tell from that what each file should hold.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from gradlint.fix import BESIDE, replace_bytes

FOLDER = ".gradlint-prove"
_LOG, _LOCK = "journal", "lock"


class Busy(Exception):
    """Another process is at work with this journal."""


class Journal:
    """The journal of a folder, locked while it is open; one that was left behind is restored first.

    ``restored`` are the files that got back what they held; ``strange`` those that somebody else has
    changed since, which are left alone, each with the file that has what it held.

    Raises:
        Busy: when another process has it open.
        OSError: when the folder cannot be written.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = parent.resolve() / FOLDER
        self.restored: list[str] = []
        self.strange: list[tuple[str, str]] = []
        self._known: dict[str, int] = {}
        self._lock = _locked(self.folder)
        self.restore()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def change(self, path: str, data: bytes) -> None:
        """Give a file other contents.

        Raises:
            OSError, WriteError: when this cannot be done; the file is as it was.
        """
        target = os.path.realpath(path)
        if target not in self._known:
            number = self._known[target] = len(self._known)
            _write(self.folder / f"{number}.orig", Path(target).read_bytes())
            self._note(file=target, number=number, time=os.stat(target).st_mtime_ns)
        self._note(text=digest(data), number=self._known[target])
        replace_bytes(target, data)

    def commit(self) -> None:
        """What files hold now is what they are to hold."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.folder / _LOG)
        for backup in self.folder.glob("*.orig"):
            backup.unlink()
        self._known.clear()

    def restore(self) -> None:
        """Give every file back what it held; done twice it is the same.

        Raises:
            OSError, WriteError: when a file cannot be written; the journal stays.
        """
        for target, number, time, texts in list(_files(self.folder / _LOG)):
            self._give_back(target, self.folder / f"{number}.orig", time, texts)
        self.commit()

    def close(self) -> None:
        """Leave the folder as if there had been nothing, unless there is something that somebody may want."""
        if not (self.folder / _LOG).exists() and not any(self.folder.glob("*.kept")):
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _give_back(self, target: str, backup: Path, time: int, texts: set[str]) -> None:
        for beside in Path(target).parent.glob(f"{BESIDE}*.new"):
            beside.unlink()
        before = backup.read_bytes()
        now = Path(target).read_bytes() if os.path.exists(target) else None
        if now == before:
            return
        if now is None or digest(now) not in texts:
            kept = backup.with_name(f"{os.path.basename(target)}.{time}.kept")
            os.replace(backup, kept)
            self.strange.append((target, str(kept)))
            return
        replace_bytes(target, before)
        os.utime(target, ns=(time, time))
        self.restored.append(target)

    def _note(self, **fields: object) -> None:
        with open(self.folder / _LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
            _flush(file)


def digest(data: bytes) -> str:
    """What stands for a text in the journal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def left(parent: Path) -> bool:
    """Whether a run that was cut short has left a journal in a folder."""
    return (parent / FOLDER / _LOG).exists()


def _files(log: Path) -> Iterator[tuple[str, int, int, set[str]]]:
    """The files of a journal: path, number, time of change, digests of what was written to them."""
    files: dict[int, tuple[str, int, int, set[str]]] = {}
    for note in _notes(log):
        number = note["number"]
        if "file" in note:
            files[number] = note["file"], number, note["time"], set()
        else:
            files[number][3].add(note["text"])
    yield from files.values()


def _notes(log: Path) -> Iterator[dict[str, Any]]:
    """The notes of a journal; what a half-written last one announced has not been done."""
    try:
        lines = log.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines[:-1]:
        yield json.loads(line)


def _locked(folder: Path) -> IO[str] | None:
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    if sys.platform == "win32":
        return None
    import fcntl

    lock = open(folder / _LOCK, "w", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / _LOCK)):
            raise OSError("the folder was removed meanwhile")
    except OSError as error:
        lock.close()
        raise Busy(str(folder)) from error
    return lock


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        _flush(file)


def _flush(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
