"""A plugin for flake8: the findings of gradlint, under its own settings.

flake8 gives files one by one, and may do so in several processes. Each process checks the project once, so that
guards and callers in other files are known, and hands out what was found file by file.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cache

from gradlint import __version__, engine
from gradlint.cli.request import Request
from gradlint.cli.running import explored, run
from gradlint.cli.settings import settle
from gradlint.diagnostic import Diagnostic
from gradlint.source import Source

_STANDARD_INPUT = ("stdin", "-")
Found = tuple[int, int, str, type["Plugin"]]


class Plugin:
    """What flake8 makes for each file. It passes arguments by their names."""

    name = "gradlint"
    version = __version__

    def __init__(self, tree: object, filename: str, lines: Sequence[str]) -> None:
        self._filename = filename
        self._text = "".join(lines)

    def run(self) -> Iterator[Found]:
        """Line (from 1), column (from 0), text and origin of each finding."""
        for found in self._found():
            yield found.span.line, found.span.column - 1, f"{found.code} {found.message}", Plugin

    def _found(self) -> Sequence[Diagnostic]:
        if self._filename in _STANDARD_INPUT:
            settings = settle(Request())
            source = Source("stdin", self._text)
            return engine.run([source], settings.rules, settings.names, policy=settings.policy).diagnostics
        path = os.path.abspath(self._filename)
        inside = _project(os.getcwd())
        return inside[path] if path in inside else _checked(self._filename).get(path, ())


@cache
def _project(folder: str) -> dict[str, tuple[Diagnostic, ...]]:
    """What is found in the files below a folder, by absolute path; those without findings are there too."""
    return _checked(folder)


def _checked(path: str) -> dict[str, tuple[Diagnostic, ...]]:
    request = Request(paths=(path,), quiet=True)
    settings = settle(request)
    ground = explored(request, settings)
    outcome = run(request, settings, ground).outcome
    paths = {file.shown: os.path.abspath(file.actual) for file in ground.found.files}
    return {
        absolute: tuple(found for found in outcome.diagnostics if found.path == shown)
        for shown, absolute in paths.items()
    }
