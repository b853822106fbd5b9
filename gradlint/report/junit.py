"""JUnit's XML, which build servers show as tests: a suite for each file, a failed test for each finding."""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from gradlint.diagnostic import Diagnostic, Failure
from gradlint.report import hosted
from gradlint.report.page import Page, summary

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# All that XML 1.0 cannot hold, not even as an entity.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(page: Page) -> Iterator[str]:
    """One XML document; where nothing was found it holds one test, which passed."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    outcome = page.outcome
    root = Element("testsuites", name="gradlint")
    both: list[Diagnostic | Failure] = [*outcome.diagnostics, *outcome.failures]
    cases = sorted(both, key=lambda item: (item.path, item.span.line))
    for path, group in groupby(cases, key=lambda item: item.path):
        items = list(group)
        suite = _suite(root, path, items)
        for item in items:
            _case(page, suite, item)
    if not cases:
        suite = _suite(root, "gradlint", [])
        suite.set("tests", "1")
        SubElement(suite, "testcase", name=summary(outcome), classname="gradlint")
    indent(root)
    yield f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(root: "Element", path: str, items: list[Diagnostic | Failure]) -> "Element":
    from xml.etree.ElementTree import SubElement

    errors = sum(isinstance(item, Failure) for item in items)
    counts = {"tests": str(len(items)), "failures": str(len(items) - errors), "errors": str(errors)}
    return SubElement(root, "testsuite", {"name": _legal(path), **counts})


def _case(page: Page, suite: "Element", item: Diagnostic | Failure) -> None:
    from xml.etree.ElementTree import SubElement

    name = "failed" if isinstance(item, Failure) else f"{item.code} {item.name}"
    line, column = item.span.line, item.span.column
    test = SubElement(
        suite,
        "testcase",
        name=f"{name} ({line}:{column})",
        classname=_legal(item.path.removesuffix(".py").replace("/", ".")),
        file=_legal(item.path),
        line=str(hosted.lines(page, item.path, item.cell, item.span)[0]),
    )
    outcome = SubElement(test, "error" if isinstance(item, Failure) else "failure", message=_legal(item.message))
    outcome.text = _legal("\n".join(_lines(item, f"{item.file}:{line}:{column}")))
    if isinstance(item, Diagnostic):
        outcome.set("type", item.severity)


def _lines(item: Diagnostic | Failure, place: str) -> Iterator[str]:
    yield f"{place}: {item.message}"
    if isinstance(item, Diagnostic):
        if item.measured is not None:
            yield f"measured: {item.measured.message}"
        yield from (f"{note.file}:{note.span.line}:{note.span.column}: {note.message}" for note in item.notes)
        if item.help:
            yield f"help: {item.help}"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
