"""Outcomes as text, one module per format."""

from collections.abc import Callable, Iterator

from gradlint.report import concise, full, github, json
from gradlint.report.page import Page

FORMATS: dict[str, Callable[[Page], Iterator[str]]] = {
    "full": full.render,
    "concise": concise.render,
    "json": json.render,
    "github": github.render,
}

__all__ = ["FORMATS", "Page"]
