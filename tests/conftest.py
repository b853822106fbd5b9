"""Rules small enough to test everything around rules with them, and signals as a terminal leaves them."""

import signal
from collections.abc import Callable, Iterator

import pytest

from gradlint.finding import Applicability, Edit, Finding, Fix, Note, Severity
from gradlint.project import Project
from gradlint.rule import Rule


def pytest_configure() -> None:
    """Let the programs that tests start be ended by signals, also where a shell had us ignore some.

    It does so in the background and under ``nohup``, and children inherit what is ignored.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def flags(
    name: str,
    code: str = "XY101",
    severity: Severity = "warning",
    *,
    help: str = "",
    notes: str = "",
    edit: Edit | None = None,
    applicability: Applicability = "safe",
    finding_severity: Severity | None = None,
) -> Rule:
    """A rule that flags every call of ``name``, with a note at every call of ``notes``.

    The place of ``edit`` is replaced by the call's.
    """

    def calls(project: Project, callee: str) -> Iterator[Finding]:
        for function in project.functions():
            for call in function.facts.calls:
                if call.callee.rpartition(".")[2] == callee:
                    place = function.place(call.at)
                    yield Finding(place, function.facts.qualified, f"`{callee}` is called")

    def check(project: Project) -> Iterator[Finding]:
        seen = tuple(Note(found.place, f"`{notes}` is here") for found in calls(project, notes))
        for found in calls(project, name):
            edits = (Edit(found.place, edit.side, edit.text),) if edit is not None else ()
            fix = Fix(applicability, "mend it", edits) if edits else None
            yield Finding(found.place, found.function, found.message, seen, help, fix, finding_severity)

    return Rule(code, name.replace("_", "-"), severity, "0.1.0", f"About {name}.", __name__, check)


@pytest.fixture(name="flags")
def _flags() -> Callable[..., Rule]:
    return flags
