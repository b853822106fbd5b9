"""A file's text after edits."""

import re
from collections.abc import Iterable
from itertools import accumulate, pairwise

from gradlint.diagnostic import LocatedEdit
from gradlint.source import Source

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")
_LINE_END = re.compile(r"\r\n|\n|\r")


class OverlapError(ValueError):
    """Edits of one file that change the same text."""


def edited(source: Source, edits: Iterable[LocatedEdit]) -> Source:
    """The source with its edits made; lines that are put in end as the file's lines do.

    Raises:
        OverlapError: when two edits change the same text.
    """
    starts = _line_starts(source.text)
    newline = _newline(source.text)
    changes = sorted(
        (
            starts[edit.span.line - 1] + edit.span.column - 1,
            starts[edit.span.end_line - 1] + edit.span.end_column - 1,
            edit.text.replace("\n", newline),
        )
        for edit in edits
        if edit.path == source.path
    )
    for (_, end, _), (start, _, _) in pairwise(changes):
        if start < end:
            raise OverlapError(f"{source.path}: two edits change the same text")
    return source.with_text("".join(_pieces(source.text, changes)))


def _pieces(text: str, changes: Iterable[tuple[int, int, str]]) -> Iterable[str]:
    position = 0
    for start, end, new in changes:
        yield text[position:start]
        yield new
        position = end
    yield text[position:]


def _line_starts(text: str) -> list[int]:
    """The offset of every line, and of the one that would follow the last."""
    return list(accumulate((len(line) for line in _LINE.findall(text)), initial=0))


def _newline(text: str) -> str:
    """How the file's lines end: as the first does."""
    found = _LINE_END.search(text)
    return found[0] if found is not None else "\n"
