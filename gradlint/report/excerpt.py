"""Source lines with marks under them: line numbers on the left, carets where the fault is.

Columns of the terminal are not characters of the source: tabs, wide and combining characters are measured, so
that a caret stands under what it marks.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from gradlint.finding import Severity, Span
from gradlint.model.record import answer
from gradlint.report.style import Style, printable
from gradlint.source import Source

TAB = 4
WIDEST = 120  # columns of one source line; what is further away from the mark is cut
MOST_LINES = 4  # of one mark


@answer
class Mark:
    """A span to point at; a note's has no severity but says something."""

    span: Span
    label: str
    severity: Severity | None


def excerpt(source: Source, marks: Sequence[Mark], margin: int, style: Style) -> Iterator[str]:
    """The marked lines, in order, with the marks below each."""
    lines = source.lines()
    yield _gutter("", margin, "|", style)
    previous = None
    for number, here in groupby(sorted(_pieces(marks, lines), key=_order), key=lambda piece: piece.line):
        if previous is not None and number > previous + 2:
            yield f"{style.dim('...')}\n"
        elif previous is not None and number == previous + 2:
            yield _line(lines, number - 1, 0, margin, style)
        pieces = list(here)
        cut = _cut(lines[number - 1], pieces)
        yield _line(lines, number, cut, margin, style)
        yield from (_underline(piece, lines[number - 1], cut, margin, style) for piece in pieces)
        previous = number
    yield _gutter("", margin, "|", style)


@answer
class _Piece:
    """The part of a mark that is on one line; the label stands at the mark's last piece."""

    line: int
    start: int
    end: int
    label: str
    severity: Severity | None


def _order(piece: _Piece) -> tuple[int, bool, int]:
    return (piece.line, piece.severity is None, piece.start)


def _pieces(marks: Iterable[Mark], lines: Sequence[str]) -> Iterator[_Piece]:
    for mark in marks:
        span = mark.span
        if span.line > len(lines):  # an error at the very end
            end = len(lines[-1]) + 1
            yield _Piece(len(lines), end, end + 1, mark.label, mark.severity)
            continue
        last = min(span.end_line, len(lines))
        shown = range(span.line, last + 1) if last - span.line < MOST_LINES else (span.line, last)
        marked = [number for number in shown if lines[number - 1].strip()] or [span.line]
        for number in marked:
            text = lines[number - 1]
            start = span.column if number == span.line else len(text) - len(text.lstrip()) + 1
            end = span.end_column if number == span.end_line else len(text.rstrip()) + 1
            label = mark.label if number == marked[-1] else ""
            yield _Piece(number, start, max(end, start + 1), label, mark.severity)


def _cut(text: str, pieces: Sequence[_Piece]) -> int:
    """How many columns of a very long line to leave out so that its first mark can be seen."""
    start = _width(text[: pieces[0].start - 1])
    return max(0, start - WIDEST // 2) if _width(text) > WIDEST else 0


def _line(lines: Sequence[str], number: int, cut: int, margin: int, style: Style) -> str:
    shown = _shown(lines[number - 1])
    cells = _from_column(shown, cut) if cut else shown
    if _width(cells) > WIDEST:
        cells = _until_column(cells, WIDEST - 1) + "…"
    return _gutter(str(number), margin, "|", style, f" {cells.rstrip()}" if cells.strip() else "")


def _underline(piece: _Piece, text: str, cut: int, margin: int, style: Style) -> str:
    before = _width(text[: piece.start - 1]) - cut
    length = max(1, min(_width(text[: piece.end - 1]) - cut, WIDEST) - before)
    if piece.severity is not None:
        mark = style.mark(piece.severity, "^" * length)
    else:
        mark = style.aside("-" * length)
    label = f" {style.aside(printable(piece.label))}" if piece.label else ""
    return _gutter("", margin, "|", style, f" {' ' * before}{mark}{label}")


def _gutter(number: str, margin: int, bar: str, style: Style, rest: str = "") -> str:
    return f"{style.dim(f'{number:>{margin}} {bar}')}{rest}\n"


def _shown(text: str) -> str:
    return printable("".join(" " * TAB if character == "\t" else character for character in text))


def _width(text: str) -> int:
    return len(text) if text.isascii() and "\t" not in text else sum(map(_columns, text))


def _columns(character: str) -> int:
    if character == "\t":
        return TAB
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _from_column(text: str, column: int) -> str:
    """The text from this column on, an ellipsis in its place; a wide character cut in two leaves a blank."""
    width = 0
    for index, character in enumerate(text):
        if width > column:
            return "…" + " " * (width - column - 1) + text[index:]
        width += _columns(character)
    return "…"


def _until_column(text: str, column: int) -> str:
    width = 0
    for index, character in enumerate(text):
        width += _columns(character)
        if width > column:
            return text[:index]
    return text
