"""Findings that were accepted when a project began to be checked: only others are reported.

What a baseline knows of a finding is its rule, file and function and the text of its line, never the line's number:
it stays accepted when lines move, and is new when its line changes. Of equal findings so many are accepted as there
were. Paths are relative to the baseline's folder.
"""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gradlint.diagnostic import ConfigError, Diagnostic
from gradlint.model.record import answer
from gradlint.source import Source

NAME = ".gradlint-baseline.json"
VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What stays the same of a finding when lines move."""

    path: str
    code: str
    function: str
    line: str


@answer
class Baseline:
    """How many findings of each key are accepted, and the file that says so."""

    file: Path
    counts: Mapping[Key, int]


def read(file: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        ConfigError: when the file cannot be read, or is no baseline.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: not a baseline: {error}") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ConfigError(f"{file}: not a baseline of version {VERSION}")
    try:
        counts = {Key(*map(str, row[:4])): int(row[4]) for row in document["findings"]}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(f"{file}: not a baseline: its findings cannot be read") from error
    return Baseline(file, counts)


def made(file: Path, diagnostics: Iterable[Diagnostic], sources: Mapping[str, Source]) -> Baseline:
    """A baseline that accepts these findings."""
    return Baseline(file, Counter(_key(found, file, sources) for found in diagnostics))


def new(diagnostics: Iterable[Diagnostic], baseline: Baseline, sources: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """The findings that a baseline does not accept."""
    left = Counter(baseline.counts)
    for found in diagnostics:
        key = _key(found, baseline.file, sources)
        left[key] -= 1
        if left[key] < 0:
            yield found


def shrunk(baseline: Baseline, now: Baseline, checked: Collection[str], codes: Collection[str]) -> Baseline:
    """The baseline without what is gone by now: of files that were checked, or do not exist, and rules that ran."""
    folder = baseline.file.parent
    paths = {_path(path, baseline.file) for path in checked}
    counts = {
        key: min(count, now.counts.get(key, 0))
        if key.code in codes and (key.path in paths or not (folder / key.path).exists())
        else count
        for key, count in baseline.counts.items()
    }
    return Baseline(baseline.file, {key: count for key, count in counts.items() if count})


def text(baseline: Baseline) -> str:
    """What the file says: one finding per line, in order, so that changes are easily read."""
    rows = [[key.path, key.code, key.function, key.line, count] for key, count in sorted(baseline.counts.items())]
    listed = ",\n  ".join(json.dumps(row) for row in rows)
    between = f"\n  {listed}\n" if rows else ""
    return f'{{"version": {VERSION}, "findings": [{between}]}}\n'


def _key(found: Diagnostic, file: Path, sources: Mapping[str, Source]) -> Key:
    line = sources[found.path].lines()[found.span.line - 1]
    return Key(_path(found.path, file), found.code, found.function, " ".join(line.split()))


def _path(path: str, file: Path) -> str:
    return os.path.relpath(os.path.abspath(path), os.path.abspath(file.parent)).replace(os.sep, "/")
