"""Outcomes as text, one module per format."""

from collections.abc import Callable, Iterator

from gradlint.report import concise, full, github, gitlab, json, junit, sarif
from gradlint.report.cells import by_cells
from gradlint.report.page import Page

FORMATS: dict[str, Callable[[Page], Iterator[str]]] = {
    "full": full.render,
    "concise": concise.render,
    "json": json.render,
    "json-lines": json.render_lines,
    "github": github.render,
    "gitlab": gitlab.render,
    "junit": junit.render,
    "sarif": sarif.render,
}

__all__ = ["FORMATS", "Page", "by_cells"]
