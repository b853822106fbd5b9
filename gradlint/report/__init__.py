"""Outcomes as text, one module per format."""

import importlib
from collections.abc import Iterator

from gradlint.report.cells import by_cells
from gradlint.report.page import Page

FORMATS = ("full", "concise", "json", "json-lines", "github", "gitlab", "junit", "sarif")


def render(name: str, page: Page) -> Iterator[str]:
    """A page in one of the formats. Each is in a module of its name, which is imported when it is wanted."""
    module, _, part = name.partition("-")
    lines: Iterator[str] = getattr(importlib.import_module(f"gradlint.report.{module}"), f"render_{part}".rstrip("_"))(
        page
    )
    return lines


__all__ = ["FORMATS", "Page", "by_cells", "render"]
