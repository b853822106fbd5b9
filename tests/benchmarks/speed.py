"""How fast ``gradlint check`` is, as ratios measured in turn on one machine: ``python -m tests.benchmarks.speed``.

Downloads pinned wheels and other linters into ``--folder`` (about a gigabyte, kept for the next time), and writes a
Markdown table. CPU time of the process and its children, medians of ``--rounds``. Nothing here is a test: a slow
machine fails nothing.
"""

import argparse
import functools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.speed_materials import PEERS, corpus, peer, sample
from tests.benchmarks.speed_watching import after_saves, middle

PYTHON = (sys.executable, "-c", "pass")
GRADLINT = (sys.executable, "-m", "gradlint")
COLD = (*GRADLINT, "check", "--no-cache", "--isolated", "-q", "--jobs", "1")
MEGABYTE = 1_000_000
PARSING = """
import sys, libcst
for file in sys.stdin.read().split(chr(0)):
    libcst.parse_module(open(file, "rb").read())  # kept trees would all be walked by the collector
"""


class Cost(NamedTuple):
    """CPU and wall time in seconds, peak memory in bytes."""

    cpu: float
    wall: float
    memory: int


def cost(command: Sequence[str], folder: Path, text: str = "") -> Cost:
    """What one run of a command takes, in a process of its own so that the peak of memory is its own.

    Modules are compiled once and kept, as they are wherever something is installed.
    """
    probe = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)\n"
    )
    started = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", probe, *command],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )
    cpu, memory = run.stdout.split()
    unit = 1 if platform.system() == "Darwin" else 1024
    return Cost(float(cpu), time.perf_counter() - started, int(memory) * unit)


def in_turn(commands: Mapping[str, tuple[Sequence[str], Path, str]], rounds: int) -> dict[str, Cost]:
    """The median cost of each command; they take turns, so that a busy minute is shared by all."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (command, folder, text) in commands.items():
            found[name].append(cost(command, folder, text))
    return {name: Cost(*map(statistics.median, zip(*costs, strict=True))) for name, costs in found.items()}


def small_runs(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """Help, hook runs and repeated runs, against a bare Python."""
    project = folder / "repeated"
    if not project.is_dir():
        shutil.copytree(files["transformers"], project)
    without, with_triggers = folder / "hook" / "without.py", folder / "hook" / "with.py"
    without.parent.mkdir(exist_ok=True)
    without.write_text("import os\n\n\ndef join(path):\n    return os.path.join(path, 'a')\n" * 20)
    source = max((f for f in files["ultralytics"].rglob("*.py") if f.stat().st_size < 72_000), key=os.path.getsize)
    shutil.copy(source, with_triggers)
    time.sleep(0.3)
    again = (*GRADLINT, "check", "-q", ".")
    subprocess.run(again, cwd=project, stdout=subprocess.DEVNULL, check=False)
    commented = 'echo "# more" >> transformers/models/bert/modeling_bert.py && sleep 0.3 && exec "$0" "$@"'
    found = in_turn(
        {
            "bare python": (PYTHON, folder, ""),
            "`gradlint --help`": ((*GRADLINT, "--help"), folder, ""),
            "a file without triggers": ((*COLD, str(without)), folder, ""),
            "a file of 70 kB with triggers": ((*COLD, str(with_triggers)), folder, ""),
            "transformers again, nothing changed": (again, project, ""),
            "transformers again, a comment more in a file of 50 kB": (("sh", "-c", commented, *again), project, ""),
        },
        rounds,
    )
    bare = found.pop("bare python").cpu
    return [row(name, f"{one.cpu * 1000:.0f} ms", f"{one.cpu / bare:.1f} bare pythons") for name, one in found.items()]


def after_a_change(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """Runs on timm after one file has changed: all of it, and a commit hook on that file alone."""
    project = folder / "changing"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(files["timm"], project)
    changed = "timm/data/loader.py"
    check = (*GRADLINT, "check", "-q", "--jobs", "1")
    subprocess.run([*check, "."], cwd=project, stdout=subprocess.DEVNULL, check=False)
    commands = {
        "timm, nothing remembered": (*check, "--no-cache", "."),
        "timm, one file changed": (*check, "."),
        "timm, a comment more in one file": (*check, "."),
        "timm, hook on one file, nothing remembered": (*check, "--no-cache", "--context", ".", changed),
        "timm, hook on one file that changed": (*check, "--context", ".", changed),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            with (project / changed).open("a", encoding="utf-8") as file:
                file.write(f"{'# ' if 'comment' in name else ''}_{number}_{len(name)} = None\n")
            found[name].append(cost(command, project).cpu)
    medians = {name: statistics.median(costs) for name, costs in found.items()}
    whole = medians["timm, nothing remembered"]
    return [row(name, f"{one:.1f} s", f"{one / whole:.3f}") for name, one in medians.items()]


def after_a_save(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """``--watch`` on timm, by the clock, from a save to the answer: ten files in turn, central ones among them."""
    edited = ["layers/mlp.py", "layers/helpers.py", "data/loader.py", "utils/metrics.py", "optim/lion.py"]
    edited += [f"models/{name}.py" for name in ("levit", "resnet", "vision_transformer", "_hub", "vgg")]
    paths = [f"timm/{path}" for path in edited] * rounds
    seconds = middle(after_saves(files["timm"], folder / "watched", paths))
    bare = statistics.median(cost(PYTHON, folder).wall for _ in range(5))
    return [
        row(
            "timm, `--watch`, from a save to the answer (wall time)",
            f"{seconds:.2f} s",
            f"{seconds / bare:.0f} bare pythons",
        )
    ]


def against_parsing(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """The whole of transformers, cold, against LibCST's parser alone."""
    sources = "\0".join(str(path) for path in sorted(files["transformers"].rglob("*.py")))
    found = in_turn(
        {
            "parse": ((sys.executable, "-c", PARSING), folder, sources),
            "check": ((*COLD, "--select", "ALL", str(files["transformers"])), folder, ""),
        },
        rounds,
    )
    ratio = found["check"].cpu / found["parse"].cpu
    return [
        row("transformers, cold, all rules", f"{found['check'].cpu:.1f} s", f"{ratio:.2f} of `libcst.parse_module`"),
        row("peak memory of that", f"{found['check'].memory / 1e6:.0f} MB", ""),
    ]


def against_peers(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """Two megabytes drawn by chance, against other linters."""
    drawn = sample(files, folder / "sample", 2 * MEGABYTE)
    commands: dict[str, tuple[Sequence[str], Path, str]] = {
        name: ((*peer(name, folder), str(drawn)), folder, "") for name in PEERS
    }
    found = in_turn({"gradlint": ((*COLD, str(drawn)), folder, ""), **commands}, rounds)
    own = found.pop("gradlint").cpu
    rows = [row("2 MB drawn by chance, cold", f"{own:.1f} s", "")]
    return rows + [
        row(f"the same by {name}", f"{one.cpu:.1f} s", f"{one.cpu / own:.1f} times") for name, one in found.items()
    ]


def by_processes(files: Mapping[str, Path], folder: Path, rounds: int) -> list[str]:
    """The whole of transformers in one process and in two, by the clock: the machine must have nothing else to do."""
    whole = str(files["transformers"])
    found = in_turn({jobs: ((*COLD[:-1], jobs, whole), folder, "") for jobs in ("1", "2")}, rounds)
    one, two = found["1"], found["2"]
    return [
        row("transformers, cold, two processes, wall time", f"{two.wall:.1f} s", f"{two.wall / one.wall:.2f} of one"),
        row("CPU of both together", f"{two.cpu:.1f} s", f"{two.cpu / one.cpu:.2f} of one"),
    ]


def by_size(files: Mapping[str, Path], folder: Path, rounds: int, sizes: Sequence[int]) -> list[str]:
    """What a megabyte costs in samples of several sizes."""
    commands: dict[str, tuple[Sequence[str], Path, str]] = {
        f"{size} MB drawn by chance, cold": (
            (*COLD, str(sample(files, folder / f"sample-{size}", size * MEGABYTE))),
            folder,
            "",
        )
        for size in sizes
    }
    found = in_turn(commands, rounds)
    return [
        row(name, f"{one.cpu:.1f} s", f"{one.cpu / size:.2f} s for each MB")
        for size, (name, one) in zip(sizes, found.items(), strict=True)
    ]


def row(*cells: str) -> str:
    """A line of the table."""
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", choices=["small", "change", "save", "parsing", "peers", "processes", "size"], action="append"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50, 100], help="of samples, in megabytes")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    files = corpus(folder)
    lines = [row("what", "CPU", "ratio"), row("---", "---", "---")]
    measures: dict[str, Callable[[Mapping[str, Path], Path, int], list[str]]] = {
        "small": small_runs,
        "change": after_a_change,
        "save": after_a_save,
        "parsing": against_parsing,
        "peers": against_peers,
        "processes": by_processes,
        "size": functools.partial(by_size, sizes=given.sizes),
    }
    for name, measure in measures.items():
        if not given.only or name in given.only:
            lines += measure(files, folder, given.rounds)
    text = "\n".join(
        [*lines, "", f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.", ""]
    )
    (folder / "speed.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
