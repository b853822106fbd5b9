"""What the pytest plugin costs 2,000 empty tests while it is off, and on: run as a script.

Prints the time of each kind of run over that of a run without the plugin: the median of ratios between neighbours,
because a machine's speed changes from minute to minute.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROUNDS, TESTS = 5, 2000
KINDS = {"without": (), "off": ("-p", "gradlint.pytest_plugin"), "on": ("-p", "gradlint.pytest_plugin", "--gradlint")}


def seconds(folder: Path, options: tuple[str, ...]) -> float:
    """CPU time of one run of all tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:gradlint", *options]
    before = os.times()
    subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, stdout=subprocess.DEVNULL
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Measure, and say."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(TESTS)))
        rounds = [{kind: seconds(folder, options) for kind, options in KINDS.items()} for _ in range(ROUNDS)]
    for kind in KINDS:
        ratio = statistics.median(times[kind] / times["without"] for times in rounds)
        print(f"{kind:8} {ratio:6.3f}")


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took {time.monotonic() - started:.0f} s")
