"""Suppression comments: ``# gradlint: ignore[GL101] why``, ``# noqa: GL101``, ``# gradlint: ignore-file``.

Only real comments count, so a file that holds the marker text is tokenized; all others cost one search.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gradlint.finding import Span
from gradlint.source import Source

Kind = Literal["ignore", "ignore-file", "noqa", "unknown"]

_MARKER = re.compile(r"#\s*(?:gradlint\s*:|noqa)", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z]+[0-9]*")
# A directive's reason ends where the next directive of whatever tool begins.
_DIRECTIVE = re.compile(
    r"#\s*gradlint\s*:\s*(?P<word>[\w-]*)\s*(?P<list>\[(?P<codes>[^\]#]*)\])?(?:(?!#\s*[A-Za-z]).)*"
)
_NOQA = re.compile(
    r"#\s*noqa\b(?![\w-])(?P<list>\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+(?!\w))*)?)?(?!\w)",
    re.IGNORECASE,
)
_KINDS: dict[str, Kind] = {"ignore": "ignore", "ignore-file": "ignore-file"}
_SKIPPED = frozenset((tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER))


@dataclass(frozen=True, slots=True)
class Mention:
    """One code named in a comment, and where."""

    code: str
    span: Span


@dataclass(frozen=True, slots=True)
class Suppression:
    """One directive. ``codes`` empty means all rules; ``word`` is what was written where ``kind`` is unknown.

    ``span`` is the directive's own text; ``first_line`` and ``last_line`` bound the statement it belongs to.
    """

    kind: Kind
    word: str
    codes: tuple[Mention, ...]
    span: Span
    first_line: int
    last_line: int

    def covers(self, line: int) -> bool:
        """Whether a finding that starts on this line falls under the directive."""
        return self.kind == "ignore-file" or self.first_line <= line <= self.last_line


@dataclass(frozen=True, slots=True)
class _Comment:
    text: str
    line: int
    column: int
    first_line: int
    last_line: int


def suppressions(source: Source) -> tuple[Suppression, ...]:
    """All suppression directives of a file, in order."""
    if _MARKER.search(source.text) is None:
        return ()
    return tuple(found for comment in _comments(source) for found in _directives(comment))


def _comments(source: Source) -> Iterator[_Comment]:
    try:
        yield from list(_tokenized(source.text))
    except (tokenize.TokenError, SyntaxError):
        # LibCST reads syntax that this Python's tokenizer may not know: then lines have to do.
        yield from _scanned(source)


def _tokenized(text: str) -> Iterator[_Comment]:
    """Comments with the lines of the statement each stands in or behind."""
    pending: list[tuple[str, int, int]] = []
    start: int | None = None
    for token in tokenize.generate_tokens(io.StringIO(text, newline=None).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            if start is None:
                yield _Comment(token.string, line, token.start[1] + 1, line, line)
            else:
                pending.append((token.string, line, token.start[1] + 1))
        elif token.type == tokenize.NEWLINE:
            first = line if start is None else start
            yield from (_Comment(string, at, column, first, line) for string, at, column in pending)
            pending, start = [], None
        elif start is None and token.type not in _SKIPPED:
            start = line


def _scanned(source: Source) -> Iterator[_Comment]:
    for number, line in enumerate(source.lines(), 1):
        if (found := _MARKER.search(line)) is not None:
            yield _Comment(line[found.start() :], number, found.start() + 1, number, number)


def _directives(comment: _Comment) -> Iterator[Suppression]:
    for found in _DIRECTIVE.finditer(comment.text):
        yield _suppression(_KINDS.get(found["word"], "unknown"), found["word"], found, comment)
    for found in _NOQA.finditer(comment.text):
        if found["list"] is None or found["codes"] is not None:
            yield _suppression("noqa", "noqa", found, comment)


def _suppression(kind: Kind, word: str, found: re.Match[str], comment: _Comment) -> Suppression:
    codes = tuple(
        Mention(code.group().upper(), _span(comment, found.start("codes") + code.start(), len(code.group())))
        for code in _CODE.finditer(found["codes"] or "")
    )
    text = found.group().rstrip()
    return Suppression(
        kind, word, codes, _span(comment, found.start(), len(text)), comment.first_line, comment.last_line
    )


def _span(comment: _Comment, start: int, length: int) -> Span:
    column = comment.column + start
    return Span(comment.line, column, comment.line, column + length)
