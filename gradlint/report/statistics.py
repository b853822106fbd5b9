"""Findings counted per rule."""

import json
from collections import Counter
from collections.abc import Iterator

from gradlint.report.page import Page, ending

JSON = ("json", "json-lines", "gitlab", "sarif")


def statistics(page: Page, output_format: str) -> Iterator[str]:
    """One line per rule that found something, the most frequent first; as JSON for formats that are JSON."""
    found = page.outcome.diagnostics
    names = {diagnostic.code: diagnostic.name for diagnostic in found}
    counts = sorted(Counter(diagnostic.code for diagnostic in found).items(), key=lambda item: (-item[1], item[0]))
    if output_format in JSON:
        rows = [{"code": code, "name": names[code], "count": count} for code, count in counts]
        yield json.dumps(rows, indent=2) + "\n"
        return
    width = max((len(str(count)) for _, count in counts), default=0)
    for code, count in counts:
        yield f"{count:>{width}} {page.style.bold(code)} {names[code]}\n"
    yield from ending(page)
