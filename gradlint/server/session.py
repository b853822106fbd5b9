"""What the server knows of a project: its files, with the text that editors have not saved yet."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gradlint import engine
from gradlint.cache.facts import Facts
from gradlint.cli.files import discover
from gradlint.cli.request import Request
from gradlint.cli.settings import Settings, settle
from gradlint.diagnostic import Diagnostic
from gradlint.notebook import read
from gradlint.source import Source, SourceError

_Stamp = tuple[int, int]


@dataclass(slots=True)
class Session:
    """A project in a folder. ``open`` has what editors hold, by absolute path."""

    folder: str
    open: Mapping[str, Source] = field(default_factory=dict)
    _read: dict[str, tuple[_Stamp, Source]] = field(default_factory=dict)
    _facts: Facts = field(default_factory=lambda: Facts(None, hold=True))

    def check(self) -> tuple[Diagnostic, ...]:
        """The findings in what is open, with all other files as its context.

        Raises:
            ConfigError: for settings that make no sense.
            RuleError: when the rules cannot be loaded.
        """
        opened = self.open
        settings = settle(Request(paths=(self.folder,)))
        sources = [*opened.values(), *self._others(settings, opened)]
        outcome = engine.run(
            sources, settings.rules, settings.names, policy=settings.policy, report_only=opened, memory=self._facts
        )
        return outcome.diagnostics

    def _others(self, settings: Settings, opened: Mapping[str, Source]) -> Iterator[Source]:
        for file in discover((self.folder,), settings.config).files:
            path = os.path.abspath(file.actual)
            if path not in opened and (source := self._source(path)) is not None:
                yield source

    def _source(self, path: str) -> Source | None:
        """A file as it is on the disk; read again only if it was touched. None if it cannot be read."""
        try:
            found = os.stat(path)
            stamp = (found.st_mtime_ns, found.st_size)
            known = self._read.get(path)
            if known is None or known[0] != stamp:
                known = self._read[path] = (stamp, read(path))
        except (OSError, SourceError):
            return None
        return known[1]
