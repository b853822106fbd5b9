"""Suppression comments: ``# gradlint: ignore[GL101] why``, ``# noqa: GL101``, ``# gradlint: ignore-file``.

Only real comments count, so a file that holds the marker text is tokenized; all others cost one search.
"""

import io
import re
import tokenize
from collections.abc import Callable, Iterator
from typing import Literal

from gradlint.finding import Span
from gradlint.model.record import answer
from gradlint.source import Source

Kind = Literal["ignore", "ignore-file", "noqa"]

_MARKER = re.compile(r"#\s*(?:gradlint\s*:|noqa)", re.IGNORECASE)
_OURS = re.compile(r"#\s*gradlint\s*:", re.IGNORECASE)
# The reason ends where a directive for another tool, or another one for us, begins.
_DIRECTIVE = re.compile(
    r"#\s*gradlint\s*:\s*(?P<word>[\w-]+)(?P<list>\s*\[(?P<codes>[^\]#]*)(?P<closed>\])?)?"
    r"(?P<reason>(?:(?!#\s*[A-Za-z]).)*)"
)
_NOQA = re.compile(
    r"#\s*noqa\b(?![\w-])(?P<list>\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+(?!\w))*)?)?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"[^\s,]+")
_BARE_CODE = re.compile(r"\s*[:=(]?\s*[A-Z]{2,}[0-9]+\b")
_KINDS: dict[str, Kind] = {"ignore": "ignore", "ignore-file": "ignore-file"}
_MEANT = (
    "ignore",
    "ignore-file",
    "ignore-line",
    "ignore-next-line",
    "disable",
    "skip",
    "skip-file",
    "noqa",
    "off",
)
_OUTSIDE = frozenset((tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER))


@answer
class Mention:
    """One code named in a comment, and where."""

    code: str
    span: Span


@answer
class Suppression:
    """One directive. ``codes`` empty means all rules; with a ``fault`` it cannot be read and does nothing.

    ``span`` is the directive's own text; ``first_line`` and ``last_line`` bound the statement it belongs to.
    """

    kind: Kind
    codes: tuple[Mention, ...]
    span: Span
    first_line: int
    last_line: int
    fault: str = ""

    def covers(self, line: int) -> bool:
        """Whether a finding that starts on this line falls under the directive."""
        return self.kind == "ignore-file" or self.first_line <= line <= self.last_line


@answer
class _Comment:
    """A comment's text and place, and the lines of the statement it stands in or behind."""

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


def may_concern(source: Source, is_rule: Callable[[str], bool], *, bare: bool) -> bool:
    """Whether a file may have a directive of ours, or one that names a rule; most speak to other tools alone.

    ``bare`` tells that a ``# noqa`` without codes is one, too.
    """
    if _MARKER.search(source.text) is None:
        return False
    if _OURS.search(source.text) is not None:
        return True
    return any(
        bare if found["list"] is None else any(is_rule(code.upper()) for code in _ITEM.findall(found["codes"] or ""))
        for found in _NOQA.finditer(source.text)
    )


def _comments(source: Source) -> list[_Comment]:
    try:
        return list(_tokenized(source.text))
    except (tokenize.TokenError, SyntaxError):
        # LibCST reads syntax that this Python's tokenizer may not know: then lines have to do.
        return list(_scanned(source))


def _tokenized(text: str) -> Iterator[_Comment]:
    pending: list[tuple[str, int, int]] = []
    start: int | None = None
    for token in tokenize.generate_tokens(io.StringIO(text, newline=None).readline):
        line, column = token.start
        if token.type == tokenize.COMMENT:
            if start is None:
                yield _Comment(token.string, line, column + 1, line, line)
            else:
                pending.append((token.string, line, column + 1))
        elif token.type == tokenize.NEWLINE:
            first = line if start is None else start
            yield from (_Comment(string, at, column, first, line) for string, at, column in pending)
            pending, start = [], None
        elif start is None and token.type not in _OUTSIDE:
            start = line


def _scanned(source: Source) -> Iterator[_Comment]:
    for number, line in enumerate(source.lines(), 1):
        if (found := _MARKER.search(line)) is not None:
            yield _Comment(line[found.start() :], number, found.start() + 1, number, number)


def _directives(comment: _Comment) -> Iterator[Suppression]:
    for found in _DIRECTIVE.finditer(comment.text):
        fault = _fault(found)
        if fault or found["word"] in _KINDS:  # anything else is prose that mentions us
            yield _suppression(_KINDS.get(found["word"], "ignore"), found, comment, fault)
    for found in _NOQA.finditer(comment.text):
        if found["list"] is None or found["codes"] is not None:
            yield _suppression("noqa", found, comment, "")


def _fault(found: re.Match[str]) -> str:
    """Why a directive cannot be read, if it cannot; it then silences nothing rather than everything."""
    word = found["word"]
    if word not in _KINDS:
        import difflib

        near = difflib.get_close_matches(word, _MEANT, n=1, cutoff=0.7)
        return f"gradlint does not know the directive `{word}`" if near else ""
    if found["list"] is None:
        return "codes belong in brackets" if _BARE_CODE.match(found["reason"]) else ""
    if found["closed"] is None:
        return "the bracket is not closed"
    return "" if found["codes"].strip(", ") else "the brackets are empty"


def _suppression(kind: Kind, found: re.Match[str], comment: _Comment, fault: str) -> Suppression:
    codes = tuple(
        Mention(item.group().upper(), _span(comment, found.start("codes") + item.start(), len(item.group())))
        for item in _ITEM.finditer(found["codes"] or "" if not fault else "")
    )
    span = _span(comment, found.start(), len(found.group().rstrip()))
    return Suppression(kind, codes, span, comment.first_line, comment.last_line, fault)


def _span(comment: _Comment, start: int, length: int) -> Span:
    column = comment.column + start
    return Span(comment.line, column, comment.line, column + length)
