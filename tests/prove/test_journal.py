"""What the journal promises: every file holds what it held before, or what it was given for good; nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradlint.prove.journal import FOLDER, Busy, Journal, left

OLD, NEW, NEWER = b"old = 1\r\n", b"new = 2\r\n", b"newer = 3\r\n"

# Changes two files, twice the one, and takes all back or keeps all; is cut off at each touch of the disk in turn.
CUT_OFF = """
import os, sys
from pathlib import Path

from gradlint.prove.journal import Journal

count = 0


def cut(original, limit):
    def touched(*arguments, **options):
        global count
        count += 1
        if count == limit:
            os._exit(9)
        return original(*arguments, **options)

    return touched


def child(folder, end, limit):
    for name in ("fsync", "replace", "unlink", "utime", "stat", "chmod"):
        setattr(os, name, cut(getattr(os, name), limit))
    journal = Journal(folder)
    journal.change("a.py", b"new = 2\\r\\n")
    journal.change("b.py", b"new = 2\\r\\n")
    journal.change("a.py", b"newer = 3\\r\\n")
    getattr(journal, end)()
    journal.close()
    os._exit(0)


for end in ("restore", "commit"):
    limit = 0
    while True:
        limit += 1
        here = Path(sys.argv[1]) / f"{end}{limit}"
        here.mkdir()
        os.chdir(here)
        for name in ("a.py", "b.py"):
            Path(name).write_bytes(b"old = 1\\r\\n")
        pid = os.fork()
        if not pid:
            child(here, end, limit)
        if os.waitpid(pid, 0)[1] == 0:
            break
        Journal(here).close()
        print(end, limit, [Path(name).read_bytes() for name in ("a.py", "b.py")], sorted(os.listdir()))
    print(end, "done", [Path(name).read_bytes() for name in ("a.py", "b.py")], sorted(os.listdir()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="cuts off a fork of itself")
def test_a_run_that_is_cut_off_at_any_moment_leaves_files_as_they_were(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CUT_OFF, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) > 50
    names = ["a.py", "b.py"]
    for line in lines:
        assert line.endswith(str(names)), line
    restored = [line for line in lines if line.startswith("restore")]
    assert all(str([OLD, OLD]) in line for line in restored)
    kept = [str([NEWER, NEW]) in line for line in lines if line.startswith("commit")]
    assert kept == sorted(kept)  # up to one moment all is old, from then on all is new
    assert kept[-1]
    assert all(str([OLD, OLD]) in line or str([NEWER, NEW]) in line for line in lines)


def test_mode_and_time_come_back_too(folder: Path) -> None:
    file = folder / "a.py"
    file.write_bytes(OLD)
    file.chmod(0o640)
    os.utime(file, ns=(10**18, 10**18))
    with Journal(folder) as journal:
        journal.change(str(file), NEW)
        assert file.read_bytes() == NEW
        journal.restore()
    assert (file.read_bytes(), file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (OLD, 0o640, 10**18)
    assert os.listdir(folder) == ["a.py"]


def test_what_somebody_else_wrote_is_left_alone(folder: Path) -> None:
    file = folder / "a.py"
    file.write_bytes(OLD)
    with Journal(folder) as journal:
        journal.change(str(file), NEW)
        file.write_bytes(b"mine = 4\n")
        journal.restore()
        [(path, kept)] = journal.strange
    assert (path, file.read_bytes(), Path(kept).read_bytes()) == (str(file), b"mine = 4\n", OLD)
    with Journal(folder) as journal:
        assert journal.strange == []
        journal.change(str(file), NEW)
        journal.restore()
    assert (file.read_bytes(), Path(kept).read_bytes()) == (b"mine = 4\n", OLD)


def test_a_link_stays_one(folder: Path) -> None:
    (folder / "real.py").write_bytes(OLD)
    (folder / "a.py").symlink_to("real.py")
    with Journal(folder) as journal:
        journal.change(str(folder / "a.py"), NEW)
        assert (folder / "real.py").read_bytes() == NEW
        journal.restore()
    assert ((folder / "real.py").read_bytes(), (folder / "a.py").is_symlink()) == (OLD, True)


def test_two_at_once_are_refused(folder: Path) -> None:
    with Journal(folder), pytest.raises(Busy):
        Journal(folder)
    Journal(folder).close()


def test_a_half_written_note_announces_what_was_not_done(folder: Path) -> None:
    file = folder / "a.py"
    file.write_bytes(OLD)
    lost = Journal(folder)
    lost.change(str(file), NEW)
    lost.close()
    with open(folder / FOLDER / "journal", "a") as log:
        log.write(json.dumps({"text": "0" * 32, "number": 0})[:20])
    assert left(folder)
    Journal(folder).close()
    assert (file.read_bytes(), left(folder)) == (OLD, False)
