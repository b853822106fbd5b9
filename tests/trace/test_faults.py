"""What can go wrong around a trace: nothing that was recorded is lost, and the program never fares worse for it."""

import contextlib
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gradlint.trace import TraceError, load, trace
from gradlint.trace.log import CHUNK, HEADER, RECORD, Log
from gradlint.trace.read import read
from tests.trace.conftest import ROOT, Run

# Records as the tracer does, in children of one process without torch, so that a hundred deaths take seconds. What is
# written to the pipe was recorded before: it must be in the log.
KILLER = """
import os, random, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gradlint.trace.log import Log
dice = random.Random(7)
for turn in range(100):
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        log = Log(Path(sys.argv[2]) / str(turn), str(os.getpid()), 1, 2)
        log.note(type="head", argv=["x"], parent=0)
        row = log.row(0)
        log.note(type="line", row=0, site=1, mode=1, outer=None)
        for number in range(1, 1 << 30):
            log.record(number, number, number, 0, 0, 5, 8)
            row[0] = number
            if number % 50 == 0:
                os.write(theirs, b"%d ." % number)
    os.close(theirs)
    seen = os.read(ours, 8)
    for _ in range(dice.randrange(60)):
        seen = (seen + os.read(ours, dice.randrange(1, 4000)))[-40:]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ours)
    print(max([int(part) for part in seen.split(b".")[1:-1]], default=50))
"""


def test_a_hundred_deaths_at_random_moments(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-c", KILLER, str(ROOT), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [int(line) for line in done.stdout.split()]
    assert len(said) == 100
    for turn, least in enumerate(said):
        (log,) = (tmp_path / str(turn)).glob("*.log")
        raw = read(log)
        assert len(raw.records) >= least >= 50
        assert [record[0] for record in raw.records] == list(range(1, len(raw.records) + 1))
        assert raw.rows[0][0] in {len(raw.records), len(raw.records) - 1}
    assert not load(tmp_path / "99").processes[0].complete


def test_a_full_disk_costs_events_and_not_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path, "1", 1, 2)
    room = [1]

    def fallocate(fd: int, offset: int, length: int) -> None:
        if not room:
            raise OSError(28, "No space left on device")
        room.pop()
        os.truncate(fd, offset + length)

    monkeypatch.setattr(os, "posix_fallocate", fallocate, raising=False)
    count = 3 * CHUNK // RECORD.size
    for number in range(count):
        log.record(number + 1, 0, 0, 0, 0, 5, 8)
    assert log.row(0) is None
    log.close()
    raw = read(log.path)
    assert len(raw.records) == 2 * CHUNK // RECORD.size - 1
    assert log.lost == count - len(raw.records) + 1
    assert [note["text"] for note in raw.notes] == ["the disk was full: later events are missing"]


FILLER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gradlint.trace.log import Log
log = Log(Path(sys.argv[2]), "1", 1, 2)
for number in range(200_000):
    log.record(number + 1, 0, 0, 0, 0, 5, 8)
print(log.row(0), log.lost > 0)
"""


def test_a_disk_that_really_is_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk")
    try:
        command = [sys.executable, "-S", "-c", FILLER, str(ROOT), str(small / "t")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "None True\n", "")
        assert len(read(small / "t" / "1.log").records) == 2 * CHUNK // RECORD.size - 1
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path, "1", 1, 2)
    log.record(1, 0, 0, 0, 0, 5, 8)
    log.close()
    for _ in range(5):  # a thread that is still at it
        log.record(2, 0, 0, 0, 0, 5, 8)
        log.note(type="note", text="late")
    raw = read(log.path)
    assert (len(raw.records), raw.notes) == (1, [])
    assert log.path.stat().st_size == HEADER.size + RECORD.size


def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    ran = run("print('never')")
    assert (ran.status, ran.out) == (2, "")
    assert "cannot write out" in ran.err


def test_a_folder_that_is_gone_while_the_program_runs(run: Run) -> None:
    ran = run(
        """
        import os, shutil
        shutil.rmtree(os.environ["GRADLINT_TRACE"])
        open(os.environ["GRADLINT_TRACE"], "w").close()
        import torch
        with torch.no_grad():
            print(torch.is_grad_enabled())
        """
    )
    assert (ran.status, ran.out) == (0, "False\n")
    assert "nothing was recorded" in ran.err or "no such trace" in ran.err


def small_trace(folder: Path) -> Path:
    """A trace of a few records in a folder."""
    log = Log(folder, "1", 1, 2)
    log.note(type="head", argv=["a.py"], parent=0)
    log.note(type="site", id=1, file="a.py", line=3, function="f", what="no_grad")
    log.note(type="lane", id=0, thread="MainThread")
    for number in range(20):
        log.record(10 + 2 * number, 5, 5, 1, 0, 0 | 1 << 2, 1)
        log.record(11 + 2 * number, 5, 5, number, 0, 1, 2)
    log.close()
    return log.path


def test_any_cut_of_a_trace_can_still_be_read(tmp_path: Path) -> None:
    path = small_trace(tmp_path)
    whole = path.read_bytes()
    assert len(load(tmp_path).regions) == 20
    for length in range(HEADER.size, len(whole), 7):
        path.write_bytes(whole[:length])
        records = (length - HEADER.size) // RECORD.size
        assert len(load(tmp_path).regions) == (records + 1) // 2
    for length in range(HEADER.size):
        path.write_bytes(whole[:length])
        with pytest.raises(TraceError, match="not a gradlint trace"):
            load(tmp_path)


def test_damage_is_never_worse_than_a_message(tmp_path: Path) -> None:
    path = small_trace(tmp_path)
    notes = path.with_suffix(".jsonl")
    originals = {file: file.read_bytes() for file in (path, notes)}
    dice = random.Random(3)
    for _ in range(400):
        for file, data in originals.items():
            damaged = bytearray(data)
            for _ in range(dice.randrange(4)):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            file.write_bytes(damaged)
        with contextlib.suppress(TraceError):
            load(tmp_path)


def test_folders_that_are_no_traces(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no trace here"):
        load(tmp_path)
    with pytest.raises(TraceError, match="no such trace"):
        load(tmp_path / "nowhere")


def test_a_program_with_tools_of_its_own(run: Run) -> None:
    ran = run(
        """
        import sys
        import torch
        calls = []
        def mine(frame, event, arg): calls.append(event)
        def theirs(frame, event, arg): pass
        sys.settrace(mine)
        sys.setprofile(theirs)
        torch.nn.Linear(2, 2)(torch.ones(2)).sum().backward()
        with torch.no_grad():
            print(sys.gettrace() is mine, sys.getprofile() is theirs)
        print(sys.gettrace() is mine, sys.getprofile() is theirs)
        sys.settrace(None), sys.setprofile(None)

        def pack(tensor): return tensor.numpy(force=True)
        def unpack(array): return torch.from_numpy(array)

        weight = torch.ones(3, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            loss = (weight * weight).sum()
        loss.backward()
        print(weight.grad.tolist(), bool(calls))
        with torch.profiler.profile(profile_memory=True) as profiler, torch.inference_mode():
            torch.ones(1000)
        print(max(event.cpu_memory_usage for event in profiler.events()))
        """,
        options=("--deep",),
    )
    assert ran.status == 0, ran.err
    assert ran.out == "True True\n" * 2 + "[2.0, 2.0, 2.0] True\n4000\n"
    assert [str(region.mode) for region in ran.trace.regions] == ["no_grad", "inference"]


def test_two_traces_one_inside_the_other() -> None:
    import torch

    with trace() as outer:
        with torch.no_grad():
            pass
        with trace() as inner, torch.inference_mode():
            pass
        with torch.no_grad():
            pass
    assert [str(region.mode) for region in inner.regions] == ["inference"]
    assert [str(region.mode) for region in outer.regions] == ["no_grad", "inference", "no_grad"]


def test_forwards_go_on_being_seen_after_the_inner_one() -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    with trace() as outer:
        for _ in range(3):
            model(torch.ones(1, 4))
            with trace() as inner:
                model(torch.ones(1, 4))
    assert sum(line.calls for line in inner.lines) == 1
    assert sum(line.calls for line in outer.lines) == 6


def test_both_count_memory() -> None:
    import torch

    with trace() as outer:
        first = torch.ones(1000)
        with trace() as inner, torch.no_grad():
            torch.ones(3000)
        with torch.no_grad():
            torch.ones(2000)
    assert first.nbytes == 4000
    assert inner.regions[0].peak["cpu"] - inner.regions[0].entered["cpu"] == 12000
    assert [region.peak["cpu"] for region in outer.regions] == [16000, 12000]
    assert outer.peak() == 16000


def test_a_trace_inside_a_traced_program(run: Run) -> None:
    ran = run(
        textwrap.dedent(
            """
            import torch
            from gradlint.trace import trace

            with trace() as t, torch.no_grad():
                x = torch.ones(1000)
            print(len(t.regions), t.peak())
            """
        ),
    )
    assert (ran.status, ran.out) == (0, "1 4000\n"), ran.err
    assert len(ran.trace.regions) == 1
    assert ran.trace.processes[0].complete


def test_a_trace_that_is_still_open_at_the_end_of_a_traced_program(run: Run) -> None:
    ran = run(
        """
        import sys
        import torch
        from gradlint.trace import trace

        with torch.no_grad():
            trace().__enter__()
        sys.exit(2)
        """
    )
    assert ran.status == 2
    assert len(ran.trace.regions) == 1
    assert ran.trace.processes[0].complete


@pytest.mark.parametrize("part", ["enter", "exit", "statement", "begins", "hang", "_first"])
def test_a_bug_of_ours_is_noted_and_is_not_the_programs(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from gradlint.trace import forwards
    from gradlint.trace.native import Counter
    from gradlint.trace.tracer import Tracer

    def broken(*arguments: object) -> None:
        raise LookupError(part)

    monkeypatch.setattr(Counter, "swift", lambda counter: None)  # C's part: test_hooks.py

    owner = forwards if part == "hang" else forwards.Forwards if part in {"begins", "_first"} else Tracer
    monkeypatch.setattr(owner, part, broken)
    with trace(deep=True) as t:
        for _ in range(3):
            with torch.no_grad():
                assert not torch.is_grad_enabled()
            torch.set_grad_enabled(True)
            torch.nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    (note,) = t.processes[0].notes
    assert note.startswith(f"a bug in gradlint, please report it: LookupError('{part}') at ")


def test_threads_that_end_while_the_trace_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradlint.trace import session
    from gradlint.trace.log import Log

    note = Log.note

    with trace() as t:
        running = session.active()
        assert running is not None
        internal = running.tracer.internal

        def slow(log: Log, **fields: object) -> None:
            note(log, **fields)
            if fields["type"] == "thread":
                internal[f"late {len(internal)}"] = 0

        monkeypatch.setattr(Log, "note", slow)
    assert t.processes[0].complete


def test_a_bug_at_the_end_is_not_the_programs(run: Run) -> None:
    ran = run(
        """
        import torch
        from gradlint.trace.tracer import Tracer

        def broken(self):
            raise LookupError("at the end")

        Tracer.finish = broken
        """,
        options=("--report", "none"),
    )
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert "LookupError('at the end')" in ran.trace.processes[0].notes[0]


def test_a_bug_while_a_tensor_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from gradlint.trace.rows import Rows

    monkeypatch.delattr(Rows, "inner")
    x = torch.ones(3, requires_grad=True)
    with trace(deep=True) as t:
        x.exp().sum().backward()
    assert x.grad is not None
    assert "AttributeError" in t.processes[0].notes[0]
