"""When two findings are the same one: within a run, and from one run to the next."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from gradlint.diagnostic import Diagnostic, fingerprint
from gradlint.finding import Span
from gradlint.source import Source


def distinct(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each fault once, in report order: two ways through the code may lead a rule to one place."""
    first: dict[tuple[str, str, Span, str], Diagnostic] = {}
    for found in diagnostics:
        first.setdefault((found.code, found.path, found.span, found.message), found)
    return sorted(first.values(), key=lambda found: found.order)


def fingerprinted(diagnostics: Iterable[Diagnostic], texts: Mapping[str, Source]) -> Iterator[Diagnostic]:
    """The diagnostics, given in report order, with fingerprints; equal ones are told apart by counting."""
    diagnostics = list(diagnostics)
    lines = {path: texts[path].lines() for path in {found.path for found in diagnostics}}
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for found in diagnostics:
        key = (found.code, found.path, found.function, lines[found.path][found.span.line - 1].strip())
        yield replace(found, fingerprint=fingerprint(*key, seen[key]))
        seen[key] += 1
