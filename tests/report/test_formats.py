"""Every format, whole, for an outcome that shows all there is to show."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol
from xml.etree import ElementTree

import jsonschema
import pytest

from gradlint.diagnostic import Diagnostic, Failure, LocatedEdit, LocatedFix, LocatedNote, Measured, Outcome
from gradlint.finding import Finding, Severity, Span
from gradlint.project import Project
from gradlint.report import FORMATS, Page, render
from gradlint.report.statistics import statistics
from gradlint.report.style import Style
from gradlint.rule import Rule
from gradlint.source import Source
from tests.report import sarif_schema


class Snapshot(Protocol):
    """pytest-snapshot's fixture, which comes without types."""

    def assert_match(self, value: str, snapshot_name: str) -> None: ...


EVALUATION = """\
import torch


def evaluate(model, loader):
    model.eval()
    total = 0
    for batch in loader:
        total += model(batch).argmax()
    return total
"""
TRAINING = """\
from evaluation import evaluate

result = evaluate(
    model,
    loader,
)
"""
BROKEN = "x = 1\nif x\n    pass\n"


def diagnostic(
    code: str,
    severity: Severity,
    path: str,
    span: Span,
    message: str,
    notes: Iterable[LocatedNote] = (),
    help: str = "",
    fix: LocatedFix | None = None,
) -> Diagnostic:
    name = {"XY101": "unwanted-graph", "XY102": "odd-import", "XY103": "plain"}[code]
    return Diagnostic(
        code, name, severity, path, span, "evaluate", message, tuple(notes), help, fix, f"f00d{code[-3:]}{span.line}"
    )


SOURCES = {
    "evaluation.py": Source("evaluation.py", EVALUATION),
    "training.py": Source("training.py", TRAINING),
    "broken.py": Source("broken.py", BROKEN),
}
FINDINGS = (
    diagnostic("XY103", "advice", "evaluation.py", Span(1, 8, 1, 13), "100% plain, really: yes"),
    diagnostic(
        "XY101",
        "warning",
        "evaluation.py",
        Span(8, 18, 8, 30),
        "`model(...)` records a graph that nobody uses",
        [
            LocatedNote("evaluation.py", Span(5, 5, 5, 17), "evaluation mode is set here"),
            LocatedNote("evaluation.py", Span(8, 18, 8, 39), "only numbers are taken from the result"),
            LocatedNote("training.py", Span(3, 10, 6, 2), "called from here with grad on"),
        ],
        "put the loop under `with torch.no_grad():`",
        LocatedFix(
            "unsafe",
            "decorate `evaluate`",
            (LocatedEdit("evaluation.py", Span(4, 1, 4, 1), "@torch.no_grad()\n"),),
        ),
    ),
    diagnostic("XY102", "error", "training.py", Span(1, 1, 1, 32), "odd", help="import something else"),
    diagnostic("XY102", "error", "training.py", Span(3, 1, 6, 2), "odder"),
)
FAILURES = (
    Failure("broken.py", 2, 5, "syntax error: expected ':'"),
    Failure("gone.py", 1, 1, "no such file or folder"),
)


def nothing(project: Project) -> Iterator[Finding]:
    yield from ()


RULES = (Rule("XY101", "unwanted-graph", "warning", "0.1.0", "A graph.\n\n## Why\n\nSo.", __name__, nothing),)
MEASURED = tuple(
    replace(found, measured=measured)
    for found, measured in zip(
        (FINDINGS[1], FINDINGS[0]),
        (
            Measured("confirmed", "the run confirms it: about 1.5 MiB, in 6 of 6 forwards", 1_572_864, 6, 6),
            Measured("refuted", "the run refutes it: 3 forwards here, all under no_grad", 0, 0, 3, exact=True),
        ),
        strict=True,
    )
)
FULL = Outcome(12, FINDINGS, FAILURES, 3)
CLEAN = Outcome(1, (), (), 0)
PAGES = {
    "everything": Page(FULL, SOURCES, rules=RULES),
    "measured": Page(Outcome(12, MEASURED, (), 0), SOURCES, rules=RULES),
    "color": Page(FULL, SOURCES, Style(color=True)),
    "quiet": Page(FULL, SOURCES, quiet=True),
    "clean": Page(CLEAN),
    "clean-quiet": Page(CLEAN, quiet=True),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", FORMATS)
def test_format(snapshot: Snapshot, name: str, page: str) -> None:
    snapshot.assert_match("".join(render(name, PAGES[page])), f"{page}.txt")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["full", "json", "json-lines", "sarif"])
def test_statistics(snapshot: Snapshot, name: str, page: str) -> None:
    snapshot.assert_match("".join(statistics(PAGES[page], name)), f"{page}.txt")


def test_json_has_the_documented_shape() -> None:
    document = json.loads("".join(render("json", PAGES["everything"])))
    assert list(document) == ["version", "summary", "findings", "failures"]
    assert document["version"] == 1
    assert document["summary"] == {
        "files": 12,
        "errors": 2,
        "warnings": 1,
        "advice": 1,
        "suppressed": 3,
        "failed": 2,
    }
    documented = [
        "code", "name", "severity", "path", "line", "column", "end_line", "end_column", "function", "message",
        "notes", "url", "fingerprint", "measured", "fix",
    ]  # fmt: skip
    assert all(list(finding) == documented for finding in document["findings"])
    [fix] = [finding["fix"] for finding in document["findings"] if finding["fix"] is not None]
    assert list(fix) == ["applicability", "message", "edits"]
    assert list(fix["edits"][0]) == ["line", "column", "end_line", "end_column", "text"]


def test_json_names_the_file_of_an_edit_that_is_elsewhere() -> None:
    fix = LocatedFix("safe", "mend", (LocatedEdit("b.py", Span(1, 1, 1, 1), "x"),))
    found = diagnostic("XY103", "error", "a.py", Span(1, 1, 1, 2), "m", fix=fix)
    document = json.loads("".join(render("json", Page(Outcome(1, (found,), (), 0)))))
    assert document["findings"][0]["fix"]["edits"][0]["path"] == "b.py"


def test_json_survives_any_name() -> None:
    odd = Failure("\udcff\x1b\n.py", 1, 1, "日本")
    text = "".join(render("json", Page(Outcome(1, (), (odd,), 0))))
    assert text.isascii()
    assert json.loads(text)["failures"][0]["path"] == odd.path


@pytest.mark.parametrize("name", ["full", "concise"])
def test_what_is_shown_cannot_command_the_terminal(name: str) -> None:
    nasty = Diagnostic(
        "XY101",
        "n",
        "error",
        "\x1b[2J.py",
        Span(1, 1, 1, 2),
        "f",
        "a\x1b[31m\nb\r",
        help="\x07",
        fingerprint="",
    )
    source = Source(nasty.path, "\x1b]0;title\x07 = 1\x9b\n")
    text = "".join(render(name, Page(Outcome(1, (nasty,), (), 0), {nasty.path: source})))
    assert not set(text) & {"\x1b", "\x07", "\r", "\x9b"}
    assert "a␛[31m␊b␍" in text


def test_github_escapes_what_would_end_a_command() -> None:
    odd = Diagnostic("XY101", "n", "advice", "a,b:c%\n.py", Span(1, 2, 3, 4), "f", "50%\r\n::error::x")
    [line] = render("github", Page(Outcome(1, (odd,), (), 0)))
    assert line == (
        "::notice title=XY101 n,file=a%2Cb%3Ac%25%0A.py,line=1,col=2,endLine=3::"
        "a,b:c%25%0A.py:1:2: XY101 50%25%0D%0A::error::x\n"
    )


@pytest.mark.parametrize("page", PAGES)
def test_sarif_is_valid(page: str) -> None:
    document = json.loads("".join(render("sarif", PAGES[page])))
    jsonschema.validate(document, sarif_schema.LOG, cls=jsonschema.Draft7Validator)
    [run] = document["runs"]
    codes = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(codes[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_sarif_spells_paths_as_uris() -> None:
    odd = [Failure(path, 1, 1, "m") for path in ("my dir/ü#?.py", "/tmp/a b.py", "\udcff.py")]
    document = json.loads("".join(render("sarif", Page(Outcome(3, (), tuple(odd), 0)))))
    jsonschema.validate(document, sarif_schema.LOG, cls=jsonschema.Draft7Validator)
    notifications = document["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    places = [item["locations"][0]["physicalLocation"]["artifactLocation"] for item in notifications]
    assert places == [
        {"uri": "my%20dir/%C3%BC%23%3F.py", "uriBaseId": "%SRCROOT%"},
        {"uri": "file:///tmp/a%20b.py"},
        {"uri": "%FF.py", "uriBaseId": "%SRCROOT%"},
    ]


def test_gitlab_tells_all_issues_apart() -> None:
    issues = json.loads("".join(render("gitlab", PAGES["everything"])))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == len(FINDINGS) + len(FAILURES)


def test_junit_is_xml_whatever_a_file_holds() -> None:
    nasty = Diagnostic("XY101", "n", "error", "<&\x00\udcff>.py", Span(1, 1, 1, 2), "f", 'a\x1b]]> \uffff "b"')
    root = ElementTree.fromstring("".join(render("junit", Page(Outcome(1, (nasty,), (), 0)))))
    assert [suite.attrib["name"] for suite in root] == ["<&\ufffd\ufffd>.py"]
    assert [failure.attrib["message"] for failure in root.iter("failure")] == ['a\ufffd]]> \ufffd "b"']


def test_json_lines_are_the_findings_of_json() -> None:
    lines = [json.loads(line) for line in render("json-lines", PAGES["everything"])]
    document = json.loads("".join(render("json", PAGES["everything"])))
    kinds = [line.pop("type") for line in lines]
    assert kinds == ["finding"] * len(FINDINGS) + ["failure"] * len(FAILURES) + ["summary"]
    assert lines == [*document["findings"], *document["failures"], {"version": 1, **document["summary"]}]
