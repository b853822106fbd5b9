"""Traces as text, HTML, Chrome's JSON and comparisons."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gradlint.trace import Mode, Trace, chrome, compare, html, load, text, timeline
from gradlint.trace.events import Process, Region, Sample, Site
from gradlint.trace.live import Watcher
from tests.trace.conftest import ROOT, Run

FIXTURES = ROOT / "fixtures" / "measured"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The trace of a training with the usual mistake, and what was reported."""
    folder = tmp_path_factory.mktemp("traced")
    shutil.copy(FIXTURES / "train.py", folder)
    command = [sys.executable, "-m", "gradlint", "trace", "--deep", "-o", "out", "train.py"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=True)
    return folder / "out", done.stderr


def masked(report: str) -> str:
    """A report without what differs from run to run.

    That is times, the order of regions that follows from them, and how often torch changed the mode for itself.
    """
    report = re.sub(r"[\d.]+ (us|ms|s)\b", "# s", report)
    report = re.sub(r"(  .* # s inside, .*\n)+", lambda found: "".join(sorted(found[0].splitlines(True))), report)
    return re.sub(r"changed it [\d,]+ times", "changed it # times", report)


def test_a_newcomer_is_told_which_line_to_mend(traced: tuple[Path, str]) -> None:
    assert masked(traced[1]) == (
        "gradlint trace: # s, 1 process, deep\n"
        "\n"
        "Grad mode at the end\n"
        "  MainThread: grad; torch changed it # times for itself\n"
        "\n"
        "Peak memory\n"
        "  cpu: 17.2 MiB near train.py:47  [every allocation of torch's CPU allocator (without oneDNN's workspace, "
        "numpy, shared memory)]\n"
        "\n"
        "Saved for backward and never used: 164.7 MiB\n"
        "  train.py:47 evaluate: 164.6 MiB (100% of what it saves), in 20 of 20 forwards\n"
        "    95.7 MiB at train.py:18 Net.forward\n"
        "    61.2 MiB at train.py:19 Net.forward\n"
        "    7.7 MiB at train.py:20 Net.forward\n"
        "  train.py:48 evaluate: 50.1 KiB (83% of what it saves)\n"
        "  No backward came by before it was freed. What is not trained on belongs under torch.no_grad().\n"
    )


def test_after_the_fix_the_bytes_are_gone(traced: tuple[Path, str], run: Run) -> None:
    mended = (
        (FIXTURES / "train.py").read_text(encoding="utf-8").replace("def evaluate", "@torch.no_grad()\ndef evaluate")
    )
    ran = run(mended, options=("--deep",))
    assert "never used" not in ran.err
    assert "Where grad modes were entered" in ran.err
    comparison = compare.report(load(traced[0]), ran.trace)
    assert "never used: 164.7 MiB -> 0 B (-164.7 MiB, -100%)" in comparison
    assert "saved for backward: 329.3 MiB -> 164.7 MiB (-164.7 MiB, -50%)" in comparison
    assert re.search(r"\d+, \d+ evaluate\n    never used: 164.7 MiB -> 0 B .* in 20 -> 0 forwards", comparison)


def test_the_modes_of_a_real_model_measured() -> None:
    command = [sys.executable, "modes.py"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}
    done = subprocess.run(command, cwd=FIXTURES, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert re.sub(r" +\d+\.\d", " #", done.stdout) == (
        "mode             median ms   peak KiB  saved KiB\n"
        "enable_grad #      16480      15456\n"
        "no_grad #       3584          0\n"
        "inference_mode #       3584          0\n"
    )


def test_the_report_of_that_measurement(run: Run) -> None:
    ran = run((FIXTURES / "modes.py").read_text(encoding="utf-8"), options=("--deep",))
    assert ran.status == 0
    assert masked(ran.err) == (
        "gradlint trace: # s, 1 process, deep\n"
        "\n"
        "Grad mode at the end\n"
        "  MainThread: grad; torch changed it # times for itself\n"
        "\n"
        "Peak memory\n"
        "  cpu: 18.1 MiB near script.py:21  [every allocation of torch's CPU allocator (without oneDNN's workspace, "
        "numpy, shared memory)]\n"
        "\n"
        "Where grad modes were entered\n"
        "  script.py:20 forward: grad 7 times, # s inside, peak 18.1 MiB cpu\n"
        "  script.py:20 forward: inference 7 times, # s inside, peak 5.5 MiB cpu\n"
        "  script.py:20 forward: no_grad 7 times, # s inside, peak 5.5 MiB cpu\n"
        "\n"
        "Saved for backward and never used: 105.7 MiB\n"
        "  script.py:21 forward: 105.7 MiB (100% of what it saves), in 7 of 7 forwards\n"
        "  No backward came by before it was freed. What is not trained on belongs under torch.no_grad().\n"
    )


def test_the_text_of_nothing() -> None:
    assert text.report(Trace()) == "nothing was recorded: no process of the run imported torch\n"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024, "1.5 MiB"),
        (5 << 40, "5.0 TiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes(number: int, shown: str) -> None:
    assert text.size(number) == shown


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 us"),
        (499, "0.499 us"),
        (12_345, "12.3 us"),
        (999_499, "999 us"),
        (999_600, "1 ms"),
        (999_499_999, "999 ms"),
        (999_600_000, "1 s"),
        (1_254_000_000, "1.25 s"),
        (999_700_000_000, "1000 s"),
        (3_599_600_000_000, "3600 s"),
    ],
)
def test_times_are_shown_without_exponents(nanoseconds: int, shown: str) -> None:
    assert text.duration(nanoseconds) == shown


def region(start: int, end: int | None, task: str = "") -> Region:
    site = Site("a.py", start, "f", "no_grad")
    return Region(site, Mode.NO_GRAD, Mode.GRAD, "MainThread", task, start, end, {"cpu": 0}, {"cpu": 5})


def process(*regions: Region) -> Process:
    made = Process(1, 0, None, ["a.py"], 0, 100_000, deep=False, complete=True, regions=list(regions))
    times = sorted({r.start for r in regions} | {r.end for r in regions if r.end is not None})
    made.samples = [Sample(time, "cpu", time, time, "MainThread", Mode(n % 2)) for n, time in enumerate(times)]
    made.threads = [text_thread()]
    return made


def text_thread() -> Any:
    from gradlint.trace.events import Thread

    return Thread("MainThread", Mode.GRAD, Mode.GRAD, None, 0)


def check_chrome(events: list[dict[str, Any]]) -> None:
    """What Perfetto needs: slices nest on their thread, asynchronous events come in pairs, times are numbers."""
    open_until: dict[tuple[int, int], list[float]] = defaultdict(list)
    for event in sorted((e for e in events if e["ph"] == "X"), key=lambda e: (e["ts"], -e["dur"])):
        stack = open_until[event["pid"], event["tid"]]
        while stack and stack[-1] <= event["ts"]:
            stack.pop()
        assert not stack or event["ts"] + event["dur"] <= stack[-1] + 1e-6
        stack.append(event["ts"] + event["dur"])
    begun = sorted((e["cat"], e["id"], e["name"]) for e in events if e["ph"] == "b")
    assert begun == sorted((e["cat"], e["id"], e["name"]) for e in events if e["ph"] == "e")
    assert len(set(begun)) == len(begun)
    assert all(isinstance(event["ts"], float) for event in events if event["ph"] != "M")
    assert all({"ph", "pid", "tid", "name"} <= event.keys() for event in events)


def test_chromes_json_of_regions_that_nest_and_that_do_not() -> None:
    nested = [region(0, 50), region(10, 20), region(20, 30), region(60, None)]
    overlapping = [region(61, 80), region(70, 90)]
    events = json.loads(chrome.report(Trace([process(*nested, *overlapping, region(5, 6, "task"))])))["traceEvents"]
    check_chrome(events)
    assert sum(event["ph"] == "X" for event in events) == 5
    assert sum(event["ph"] == "b" for event in events) == 2


def test_chromes_json_of_a_real_run(traced: tuple[Path, str]) -> None:
    events = json.loads(chrome.report(load(traced[0])))["traceEvents"]
    check_chrome(events)
    assert {"process_name", "thread_name", "cpu memory"} <= {event["name"] for event in events}


def test_thinning_keeps_peaks_and_the_order_of_modes() -> None:
    many = process(*(region(n * 20, n * 20 + 10) for n in range(4000)))
    many.samples[1234] = Sample(many.samples[1234].time, "cpu", 0, 10**9, "MainThread", Mode.GRAD)
    points = timeline.memory(many, "cpu", 100)
    assert len(points) <= 204
    assert max(point.most for point in points) == 10**9
    segments = timeline.modes(many, 100)["MainThread"]
    assert len(segments) <= 100
    assert all(a.end <= b.start for a, b in pairwise(segments))


SORT = """<script>
document.querySelector("#lines th:nth-child(6) button").click();
const sizes = [...document.querySelectorAll("#lines td:nth-child(6)")].map(cell => cell.textContent);
document.querySelector("#lines th:nth-child(1) button").click();
const names = [...document.querySelectorAll("#lines td:first-child")].map(cell => cell.textContent);
document.body.append(Object.assign(document.createElement("pre"),
  {id: "seen", textContent: JSON.stringify({sizes, names, bars: document.querySelectorAll(".barlayer .point").length,
  curves: document.querySelectorAll(".scatterlayer .trace").length})}));
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_page_in_a_browser(traced: tuple[Path, str], tmp_path: Path) -> None:
    assert BROWSER is not None
    page, log = tmp_path / "page.html", tmp_path / "net.json"
    page.write_text(html.report(load(traced[0])).replace("</body>", SORT), encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--virtual-time-budget=5000"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert ":CONSOLE" not in done.stderr
    (text_seen,) = re.findall(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    seen = json.loads(text_seen)
    assert seen["curves"] == 1
    assert seen["bars"] >= 1
    assert seen["sizes"] == ["164.7 MiB", "164.6 MiB", "60.1 KiB"]
    assert seen["names"] == sorted(seen["names"])
    asked = re.findall(r'"url":"(\w+)://([^"]*)"', log.read_text(encoding="utf-8"))
    own = re.compile(r"[^/]*\.?(google|googleapis|gvt1)\.com(:\d+)?/")  # what the browser asks of its makers by itself
    assert not [where for scheme, where in asked if scheme in {"http", "https", "ws", "wss"} and not own.match(where)]


def test_a_page_cannot_be_broken_by_a_name() -> None:
    bad = process(region(0, 1))
    bad.argv = ["</script><script>alert(1)</script>"]
    assert "<script>alert(1)" not in html.report(Trace([bad]))


def test_looking_while_it_runs(traced: tuple[Path, str]) -> None:
    state = list(Watcher(traced[0]).state())
    assert state[0].startswith("gradlint trace:")
    assert any("MainThread grad" in line for line in state)
    assert any("17.2 MiB at most" in line for line in state)
    assert any("train.py:47: 0 B held, 164.6 MiB never used" in line for line in state)


def test_live_without_a_terminal_leaves_the_output_alone(run: Run) -> None:
    ran = run("import torch\nprint('hello')", options=("--live",))
    assert (ran.status, ran.out) == (0, "hello\n")


def test_reports_from_the_command_line(traced: tuple[Path, str], tmp_path: Path) -> None:
    def report(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "rules")])}
        command = [sys.executable, "-m", "gradlint", "report", *arguments]
        return subprocess.run(command, cwd=traced[0].parent, env=env, capture_output=True, text=True, check=False)

    assert report("out").stdout == traced[1]
    assert report("out", "out").stdout.startswith("gradlint trace: ")
    assert "as before" in report("--compare", "out", "out").stdout
    assert report("--compare", "out").returncode == 2
    assert report("nowhere").returncode == 2
    assert "no such trace" in report("nowhere").stderr
    assert json.loads(report("--output-format", "perfetto", "out").stdout)["traceEvents"]
    page = tmp_path / "page.html"
    assert report("--output-format", "html", "--output-file", str(page), "out").returncode == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_workers_that_did_nothing_are_counted_and_not_listed(traced: tuple[Path, str]) -> None:
    [busy] = load(traced[0]).processes
    idle = [Process(pid, 1, None, ["train.py"], 0, 1, deep=False, complete=False) for pid in (2, 3)]
    said = text.report(Trace([busy, *idle]))
    assert said.endswith("\n\n2 more processes ran no module and entered no grad mode\n")
    assert said.count("Peak memory") == 1
