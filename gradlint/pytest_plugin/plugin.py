"""What a measured run does around each import, fixture and test."""

import inspect
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from gradlint.pytest_plugin import guard, limits
from gradlint.pytest_plugin.measure import Running, begun, left_by
from gradlint.pytest_plugin.summary import Results, summarise
from gradlint.trace.text import place, relative

PROPERTY = "gradlint"  # what properties of reports begin with; they reach junit files and xdist's controller


class Plugin:
    """Registered only when a run is measured."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._strict = bool(config.getoption("gradlint_strict"))
        self._keep = bool(config.getoption("gradlint_report") or config.getoption("gradlint_check"))
        worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._controls = worker is None
        self.folder = Path(worker["gradlint"] if worker else tempfile.mkdtemp(prefix="gradtrace-"))
        self._running: dict[str, Running] = {}
        self._fixtures: dict[int, tuple[guard.Watch, guard.Watch]] = {}
        self.results = Results()

    def running(self, item: pytest.Item) -> object:
        """The trace of a test, for the fixture; the test has it from here on."""
        found = self._running.get(item.nodeid) or begun(self.folder, deep=True)
        if found is None:
            pytest.fail("`grad_trace`: the tests have not imported torch", pytrace=False)
        self._running[item.nodeid] = found
        return found

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, Any, Any]:
        """Guard the import of a test module."""
        if not isinstance(collector, pytest.Module):
            return (yield)
        running = begun(self.folder, deep=False)
        with guard.watched() as watch:
            report = yield
        where = self._end(running, watch) or relative(str(collector.path))
        if watch.changed:
            text = f"importing {where} {watch.text}"
            self._leaked(watch)
            self.results.leaks.setdefault(text, None)
            if self._strict and report.outcome == "passed":
                report.outcome, report.longrepr = "failed", f"gradlint: {text}"
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
        """Guard a fixture: one that yields may hold a mode until it is torn down, another must not."""
        finalizers = len(fixturedef._finalizers)
        with guard.watched() as setup:
            result = yield
        ending = guard.Watch(None)
        if setup.changed and not _holds(fixturedef, finalizers):
            self._leaked(setup)
            self._tell(request.node, f"fixture `{fixturedef.argname}` ({_source(fixturedef)}) {setup.text}")
            setup = guard.Watch(setup.before, setup.before)
        self._fixtures[id(fixturedef)] = setup, ending

        def ends() -> None:
            ending.before = guard.mode()

        fixturedef.addfinalizer(ends)
        return result

    def pytest_fixture_post_finalizer(self, fixturedef: Any, request: Any) -> None:
        """Guard the end of a fixture: what it held must be let go."""
        setup, ending = self._fixtures.pop(id(fixturedef), (None, None))
        if setup is None or ending is None or ending.before is None:
            return
        wanted = ending.before
        if setup.changed:
            if ending.before != setup.after:
                return  # another fixture is in between: nobody can say what should be now
            wanted = setup.before or (True, False)
        watch = guard.Watch(wanted, guard.mode())
        if watch.changed:
            self._leaked(watch)
            text = f"fixture `{fixturedef.argname}` ({_source(fixturedef)}), torn down, {watch.text}"
            self._tell(request.node, text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin anew: the test may have run before, and be run again because it failed."""
        item.user_properties[:] = [one for one in item.user_properties if not one[0].startswith(PROPERTY)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Measure a test, and hold it to its limits."""
        if item.nodeid not in self._running:
            started = begun(self.folder, deep=limits.limited(item))
            if started is not None:
                self._running[item.nodeid] = started
        passed = False
        watch = guard.Watch(guard.mode())
        try:
            yield
            passed = True
        finally:
            watch.after = guard.mode()
            broken = self._judge(item, watch, limited=passed)
        if broken:
            pytest.fail("\n".join(f"gradlint: {text}" for text in broken), pytrace=False)

    def _judge(self, item: pytest.Item, watch: guard.Watch, *, limited: bool) -> list[str]:
        running = self._running.pop(item.nodeid, None)
        broken: list[str] = []
        try:
            if running is not None:
                broken = self._measured(item, running, limited=limited)
        finally:  # a limit that makes no sense ends the run, but not with a tracer left on
            where = self._end(running, watch) or item.nodeid
        if watch.changed:
            self._leaked(watch)
            text = f"{where} {watch.text}"
            item.user_properties.append((f"{PROPERTY}_leak", text))
            broken += [text] if self._strict and limited else []
        return broken

    def _measured(self, item: pytest.Item, running: Running, *, limited: bool) -> list[str]:
        """Note what a test came to; the limits that it broke."""
        running.settle()
        now, needed = running.now, running.needed()
        for name, value in (("peak", needed.get("cpu", 0)), ("saved", now.saved), ("wasted", now.wasted)):
            item.user_properties.append((f"{PROPERTY}_{name}", value))
        return [*limits.broken(item, now, needed)] if limited else []

    def _end(self, running: Running | None, watch: guard.Watch) -> str:
        """End a recording; the line that left another mode behind, if one did and was seen."""
        if running is None:
            return ""
        running.stop()
        site = left_by(running.now) if watch.changed else None
        if not self._keep:
            running.forget()
        return place(site) if site is not None else ""

    def _leaked(self, watch: guard.Watch) -> None:
        guard.restore(watch.before)

    def _tell(self, node: Any, text: str) -> None:
        """A leak of a fixture, at the test that used it if it is one test's."""
        if isinstance(node, pytest.Item):
            node.user_properties.append((f"{PROPERTY}_leak", text))
        else:
            self.results.leaks.setdefault(text, None)
        if self._strict:
            pytest.fail(f"gradlint: {text}", pytrace=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test, here or in a worker, has measured."""
        if self._controls:
            self.results.take(report.nodeid, report.user_properties)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """In a worker: hand over what belongs to no test."""
        if not self._controls:
            vars(session.config)["workeroutput"]["gradlint"] = list(self.results.leaks)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where traces go."""
        node.workerinput["gradlint"] = str(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker of xdist hands over; one that crashed hands over nothing."""
        for text in getattr(node, "workeroutput", {}).get("gradlint", ()):
            self.results.leaks.setdefault(text, None)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was measured."""
        summarise(terminalreporter, self._config, self.results, self.folder)

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if self._controls:
            shutil.rmtree(self.folder, ignore_errors=True)


def _holds(fixturedef: Any, finalizers: int) -> bool:
    """Whether a fixture comes back to clean up: it yields, or it has asked for a finalizer."""
    code = getattr(fixturedef.func, "__code__", None)
    yields = code is not None and bool(code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))
    return yields or len(fixturedef._finalizers) > finalizers


def _source(fixturedef: Any) -> str:
    code = getattr(fixturedef.func, "__code__", None)
    return f"{relative(code.co_filename)}:{code.co_firstlineno}" if code is not None else str(fixturedef.baseid)
