"""A source as the text of its notebook's file."""

import json
from collections.abc import Iterator

from gradlint.notebook.cells import cells
from gradlint.notebook.layout import written
from gradlint.source import Notebook, Source


def saved(source: Source) -> str:
    """The text of the file that holds a source: for a notebook its JSON, with the cells that have changed."""
    return source.text if source.notebook is None else "".join(_pieces(source, source.notebook))


def _pieces(source: Source, notebook: Notebook) -> Iterator[str]:
    texts = {cell.number: cell.text for cell in cells(source)}
    raw, position = notebook.raw, 0
    for found in written(raw):
        before = found.text
        text = texts.get(found.number, before)
        if text is not None and text != before:
            yield raw[position : found.start]
            yield _value(text, raw[found.start : found.end], ascii_only=raw.isascii())
            position = found.end
    yield raw[position:]


def _value(text: str, old: str, *, ascii_only: bool) -> str:
    """A cell's text in the form that the old one has: a list of lines, or one string."""
    if not old.startswith("["):
        return json.dumps(text, ensure_ascii=ascii_only)
    before = old[1 : len(old) - len(old[1:].lstrip())]
    after = old[len(old[:-1].rstrip()) : -1]
    lines = [json.dumps(line, ensure_ascii=ascii_only) for line in text.splitlines(keepends=True)]
    between = f",{before or ' '}"
    return f"[{before}{between.join(lines)}{after}]"
