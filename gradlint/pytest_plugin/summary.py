"""What the end of a measured run says: leaks, the costliest tests, the report, and findings of the code."""

import contextlib
import io
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gradlint.trace.text import size

MOST = 5


@dataclass(slots=True)
class Results:
    """What was measured: by test, the last time it ran; and the leaks of imports and of fixtures for several tests."""

    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    leaks: dict[str, None] = field(default_factory=dict)

    def take(self, nodeid: str, properties: Collection[tuple[str, object]]) -> None:
        """Take the properties of a report."""
        mine = {key.removeprefix("gradlint_"): value for key, value in properties if key.startswith("gradlint_")}
        if mine:
            mine["leak"] = [value for key, value in properties if key == "gradlint_leak"]
            self.tests[nodeid] = mine

    def all_leaks(self) -> Iterator[str]:
        """Leaks, each once."""
        yield from dict.fromkeys([*self.leaks, *(text for test in self.tests.values() for text in test["leak"])])

    def costliest(self, what: str) -> list[tuple[int, str]]:
        """The tests that cost most of something, with how much."""
        found = [(int(str(test.get(what, 0))), nodeid) for nodeid, test in self.tests.items()]
        return sorted((one for one in found if one[0]), key=lambda one: (-one[0], one[1]))


def summarise(reporter: pytest.TerminalReporter, config: pytest.Config, results: Results, folder: Path) -> None:
    """Write the section of the terminal summary."""
    if getattr(config, "workerinput", None) is not None:
        return
    reporter.section("gradlint")
    for text in results.all_leaks():
        reporter.write_line(f"leaked grad mode: {text}", yellow=True)
    for text in _costs(results):
        reporter.write_line(text)
    if not results.tests and not results.leaks:
        reporter.write_line("nothing was measured: the tests did not import torch")
    _report(reporter, config, folder)
    _check(reporter, config, folder)


def _costs(results: Results) -> Iterator[str]:
    wasted = results.costliest("wasted")
    if wasted:
        yield f"saved for backward and never used: {size(sum(cost for cost, _ in wasted))} in {_tests(len(wasted))}"
        yield from (f"  {size(cost):>10} {nodeid}" for cost, nodeid in wasted[:MOST])
    peaks = results.costliest("peak")
    if peaks:
        yield "most memory at once, beyond what was in use before"
        yield from (f"  {size(cost):>10} {nodeid}" for cost, nodeid in peaks[:MOST])


def _tests(count: int) -> str:
    return f"{count} test{'s' if count != 1 else ''}"


def _report(reporter: pytest.TerminalReporter, config: pytest.Config, folder: Path) -> None:
    name = config.getoption("gradlint_report")
    if not name:
        return
    from gradlint.trace import TraceError, load

    target = Path(name)
    try:
        if target.suffix == ".html":
            from gradlint.trace.html import report

            target.write_text(report(load(folder)), encoding="utf-8")
        else:
            load(folder)
            shutil.copytree(folder, target, dirs_exist_ok=True)
    except (TraceError, OSError) as error:
        reporter.write_line(f"no report was written: {error}", red=True)
        return
    reporter.write_line(f"what was measured: {name}")


def _check(reporter: pytest.TerminalReporter, config: pytest.Config, folder: Path) -> None:
    paths = config.getoption("gradlint_check")
    if not paths:
        return
    import click

    from gradlint.cli.checking import checked
    from gradlint.cli.request import Request

    traces = (folder,) if any(folder.glob("*.log")) else ()
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            checked(Request(paths=tuple(paths), traces=traces, output_format="concise"))
    except click.ClickException as error:
        text.write(f"gradlint check: {error.format_message()}\n")
    reporter.write(text.getvalue())
